"""Checks as data: paths of values, relations between them, and the checks.yml of every role."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.slipway.stack.plugins.plugin_utils import applications as contract
from ansible_collections.slipway.stack.plugins.plugin_utils import checks, kinds
from ansible_collections.slipway.stack.plugins.plugin_utils.arguments import Problem

ROOT = Path(__file__).resolve().parents[3]
SPEC: dict[str, Any] = {"users": {"type": "list", "options": {"name": {}, "password": {"no_log": True}}}, "token": {"no_log": True}}


def of_values(rules: dict[str, Any], values: dict[str, Any]) -> list[str]:
    return [problem.sentence() for problem in checks.value_problems({"values": rules, "relations": []}, values, SPEC)]


@pytest.mark.parametrize(
    ("rules", "values", "expected"),
    [
        ({"share": {"above": 0, "at_most": 1}}, {"share": 1.5}, ["share is 1.5; allowed: above 0 and at most 1"]),
        ({"share": {"above": 0, "at_most": 1}}, {"share": 1}, []),
        ({"n": {"at_least": 1}}, {"n": 0}, ["n is 0; allowed: at least 1"]),
        ({"users[].name": {"kind": "label"}}, {"users": [{"name": "a"}, {"name": "b c"}]},
         ["users[1].name is 'b c'; allowed: letters, digits, - and _, at most 63"]),
        ({"env{}": {"kind": "one_line"}}, {"env": {"A": "x", "B": "x\ny"}},
         ["env.B is 'x\\ny'; allowed: one line of text, without control characters"]),
        ({"env{keys}": {"kind": "environment_name"}}, {"env": {"A-B": "x"}},
         ["env: the name 'A-B' is 'A-B'; allowed: letters, digits and _, not beginning with a digit"]),
        ({"jobs{}.keep": {"at_least": 0}}, {"jobs": {"a": {"keep": -1}}}, ["jobs.a.keep is -1; allowed: at least 0"]),
        ({"users": {"unique": "name"}}, {"users": [{"name": "a"}, {"name": "a"}]},
         ["users is a secret value (not shown); allowed: each name once; twice: a"]),
        ({"users": {"not_empty": True, "allowed": "somebody"}}, {"users": []}, ["users is a secret value (not shown); allowed: somebody"]),
        ({"mode": {"one_of": ["a", "b"]}}, {"mode": "c"}, ["mode is 'c'; allowed: a, b"]),
        ({"name": {"matches": "x+", "allowed": "some x"}}, {"name": "xyx"}, ["name is 'xyx'; allowed: some x"]),
        ({"url": {"kind": "url", "schemes": ["ftp"], "unless_empty": True}}, {"url": ""}, []),
        ({"absent[].x": {"kind": "port"}}, {}, []),
    ],
)  # fmt: skip
def test_values(rules: dict[str, Any], values: dict[str, Any], expected: list[str]) -> None:
    assert of_values(rules, values) == expected


def test_a_secret_is_not_shown() -> None:
    found = of_values({"users[].password": {"kind": "plain_secret"}, "token": {"kind": "plain_secret"}},
                      {"users": [{"password": "hid\nden"}], "token": "hid\nden"})  # fmt: skip
    assert len(found) == 2
    assert "hid" not in "".join(found)


def of_relations(relation: dict[str, Any], values: dict[str, Any], known: list[Problem] | None = None, facts: bool = False) -> list[str]:
    found = checks.relation_problems({"values": {}, "relations": [relation]}, values, known or [], facts=facts)
    return [problem.sentence() for problem in found]


OWNER = {
    "each": [{"each": "databases", "as": "database"}, {"each": "database.users | default([])", "as": "user"}],
    "refuse": "user not in people",
    "variable": "databases[{{ index }}].users[{{ inner_index }}]",
    "given": "'{{ user }}'",
    "allowed": "{{ people | join(', ') }}",
}


def test_relations_walk_lists_in_lists() -> None:
    values = {"people": ["ann"], "databases": [{"users": ["ann"]}, {}, {"users": ["ann", "bob"]}]}
    assert of_relations(OWNER, values) == ["databases[2].users[1] is 'bob'; allowed: ann"]


def test_relations_that_need_facts_wait_for_them() -> None:
    relation = {"refuse": "ansible_facts.memtotal_mb < 100", "variable": "x", "given": "y", "allowed": "z", "facts": True}
    assert of_relations(relation, {"ansible_facts": {"memtotal_mb": 50}}) == []
    assert of_relations(relation, {"ansible_facts": {"memtotal_mb": 50}}, facts=True) == ["x is y; allowed: z"]


def test_a_relation_of_nonsense_is_excused_only_by_a_problem_that_is_told() -> None:
    relation = {"refuse": "count > 3", "variable": "count", "given": "y", "allowed": "z"}
    assert of_relations(relation, {"count": "many"}, [Problem("count", "'many'", "a whole number")]) == []
    with pytest.raises(checks.CheckError, match="the check of count cannot be evaluated"):
        of_relations(relation, {"count": "many"})


@pytest.mark.parametrize(
    ("source", "keys"),
    [
        ({"type": "git", "url": "https://x/y.git", "version": "v1"}, []),
        ({"type": "git", "url": "https://x/y.git"}, ["version"]),
        ({"type": "git", "version": "v1"}, ["url"]),
        ({"type": "git", "url": "https://x/y.git", "version": "abc1234"}, ["version"]),
        ({"type": "git", "url": "https://x/y.git", "version": "v1", "path": "x"}, ["path"]),
        ({"type": "directory", "path": "nowhere"}, ["path"]),
        ({"type": "directory", "path": "tree"}, []),
        ({"type": "directory", "path": "tree", "requirements": "none.txt"}, ["requirements"]),
        ({"type": "directory"}, ["path"]),
        ({"type": "file", "path": "text.tar.gz"}, ["path"]),
        ({"type": "file", "path": "tree/a.txt"}, ["path"]),
        ({"type": "package", "requirement": "datasette"}, ["requirement"]),
        ({"type": "package", "requirement": "datasette==0.65.1"}, []),
    ],
)
def test_the_source_of_a_release(source: dict[str, Any], keys: list[str], tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a.txt").write_text("x")
    (tmp_path / "text.tar.gz").write_text("no archive")
    assert [problem[0] for problem in checks.source_problems(source, str(tmp_path))] == keys


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("https://git.example.com/a.git", False),
        ("https://deploy:canary@git.example.com/a.git", False),  # the token stays on the controller
        ("ssh://git@git.example.com:2222/a.git", False),
        ("git@git.example.com:team/a.git", False),
        ("file:///srv/git/a.git", False),
        ("/srv/git/a.git", False),
        ("--upload-pack=/tmp/x", True),
        ("htps://deploy:canary@git.example.com/a.git", True),
        ("https://git.example.com/a.git?private_token=canary", True),
        ("https://deploy:canary@", True),
    ],
)
def test_the_address_of_a_repository(url: str, refused: bool) -> None:
    found = checks.source_problems({"type": "git", "url": url, "version": "v1"}, "/")
    assert [problem[0] for problem in found] == (["url"] if refused else [])
    assert "canary" not in str(found)


def test_a_folder_is_looked_into_before_any_host_is_touched(tmp_path: Path) -> None:
    member = tmp_path / "tree/member"
    member.mkdir(parents=True)
    (tmp_path / "tree/uv.lock").write_text("version = 1\n")
    (tmp_path / "tree/pyproject.toml").write_text("[tool.uv.workspace]\nmembers = ['member']\n")
    ((key, given, allowed),) = checks.source_problems({"type": "directory", "path": "tree/member"}, str(tmp_path))
    assert (key, given) == ("path", "'tree/member'")
    assert "whose uv.lock decides its versions; write path: " in allowed
    assert checks.source_problems({"type": "directory", "path": "tree", "subdirectory": "member"}, str(tmp_path)) == []
    (member / "requirements.txt").write_bytes("idna==3.4  # für uns\n".encode("latin-1"))
    ((key, _, allowed),) = checks.source_problems({"type": "directory", "path": "tree/member"}, str(tmp_path))
    assert key == "requirements"
    assert "requirements.txt" in allowed and "save it as UTF-8" in allowed


ROLES = sorted(path.parent.parent.name for path in ROOT.glob("roles/*/meta/checks.yml"))


@pytest.mark.parametrize("role", [*ROLES, "applications"])
def test_the_checks_of_a_role_name_its_inputs_and_known_kinds(role: str) -> None:
    if role == "applications":
        spec = contract.spec()
        found = checks.read(ROOT / "playbooks/vars/applications_checks.yml")
    else:
        spec = yaml.safe_load((ROOT / "roles" / role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
        found = checks.read(ROOT / "roles" / role / "meta/checks.yml")
    unknown = []
    for path, rule in found["values"].items():
        option: dict[str, Any] = {"options": spec}
        for step in re.findall(r"\{\}|[^.\[\]{}]+", path.replace("{keys}", "")):
            if step == "{}" and not option.get("elements"):
                break  # a mapping whose names are its options
            if step == "{}":
                continue
            options = option.get("options", {})
            if options and step not in options:
                unknown.append(path)
                break
            option = options.get(step, {})
        if "kind" in rule and rule["kind"] not in kinds.KINDS:
            unknown.append(f"{path}: {rule['kind']}")
        if set(rule) - checks.OWN_RULES - {"words", "wildcard", "schemes", "credentials", "reserved", "slash_at_end", "shortest_rsa"}:
            unknown.append(f"{path}: {sorted(rule)}")
    assert unknown == []
    for relation in found["relations"]:
        assert {"refuse", "variable", "given", "allowed"} <= set(relation)
        checks._expression(str(relation["refuse"]))


def test_every_role_has_checks() -> None:
    assert sorted(path.name for path in (ROOT / "roles").iterdir()) == ROLES
