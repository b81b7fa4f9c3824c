"""What no linter knows about a Slipway role (DESIGN: role contract)."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
WIRING: dict[str, Any] = yaml.safe_load((ROOT / "playbooks/vars/wiring.yml").read_text())
BANNED = {
    "groups or hostvars": r"\b(groups\s*[\[.]|hostvars)",
    "set_fact": r"\bset_fact\b",
    "lineinfile": r"\b(lineinfile|blockinfile)\b",
    "ignore_errors": r"\bignore_errors\b",
    "a second default": r"\|\s*(default|d)\s*\(",
}


def role_names() -> list[str]:
    return [path.name for path in ROLES]


def read(path: Path) -> dict[str, Any]:
    return (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}


def options(role: Path) -> dict[str, dict[str, Any]]:
    return read(role / "meta/argument_specs.yml")["argument_specs"]["main"].get("options", {})


def test_the_roles_of_the_plan_are_here() -> None:
    plan = {
        "hardening",
        "firewall",
        "postgres",
        "redis",
        "pgbouncer",
        "api",
        "celery_workers",
        "nginx",
        "certificates",
        "monitoring",
        "backup",
    }
    assert set(role_names()) == plan, "a new role belongs into the `plan` of this test; one that is missing was lost"


@pytest.mark.parametrize("role", ROLES, ids=role_names())
class TestRole:
    def test_has_the_files_of_a_role(self, role: Path) -> None:
        wanted = ["README.md", "defaults/main.yml", "meta/argument_specs.yml", "meta/checks.yml", "meta/main.yml", "state/main.yml"]
        wanted += ["tasks/main.yml", "vars/main.yml"]
        assert [name for name in wanted if not (role / name).is_file()] == []

    def test_the_page_has_the_sections_of_every_page(self, role: Path) -> None:
        """A reader of one role's page finds the same things in the same order on the next; a role's own sections stand between."""
        wanted = ["What it does", "What a second run does", "What it does not do", "Inputs"]
        found = re.findall(r"^## (.+)$", (role / "README.md").read_text(), re.MULTILINE)
        assert [heading for heading in found if heading in wanted] == wanted
        assert (found[0], found[-1]) == (wanted[0], wanted[-1])

    def test_every_input_is_specified_once(self, role: Path) -> None:
        """Spec keys are the defaults and the required ones; a `default` in the spec has no effect at run time and drifts."""
        defaults, spec = read(role / "defaults/main.yml"), options(role)
        optional = {name for name, option in spec.items() if not option.get("required")}
        assert sorted(optional - set(defaults)) == [], "inputs of meta/argument_specs.yml that defaults/main.yml gives no default"
        assert sorted(set(defaults) - set(spec)) == [], "inputs of defaults/main.yml that meta/argument_specs.yml does not know"
        assert [name for name in defaults if spec[name].get("required")] == []
        text = (role / "meta/argument_specs.yml").read_text()
        assert re.findall(r"^\s+default:.*$", text, re.MULTILINE) == []

    def test_inputs_are_named_after_the_role_and_described(self, role: Path) -> None:
        assert [name for name in options(role) if not name.startswith(f"{role.name}_")] == []
        assert [name for name, option in options(role).items() if not option.get("description")] == []

    def test_every_default_has_a_comment_above(self, role: Path) -> None:
        lines = (role / "defaults/main.yml").read_text().splitlines()
        bare = []
        for number, line in enumerate(lines):
            if re.match(r"[a-z]\w*:", line):
                above = next((other for other in reversed(lines[:number]) if other.strip()), "")
                # a group of inputs may share one comment: an input right above it is fine
                if not above.startswith("#") and not re.match(r"([a-z]\w*:|\s)", above):
                    bare.append(line)
        assert bare == []

    def test_internal_variables_carry_the_roles_name(self, role: Path) -> None:
        assert [name for name in read(role / "vars/main.yml") if not name.startswith(f"__{role.name}_")] == []

    def test_secrets_are_marked(self, role: Path) -> None:
        """The validator finds weak secrets by `no_log`, and Ansible keeps them out of its output by it."""
        found = []

        def walk(spec: dict[str, Any], path: str) -> None:
            for name, option in spec.items():
                if (
                    re.search(r"(password|secret|token)s?$", name)
                    and option.get("type", "str") in {"str", "dict"}
                    and not option.get("no_log")
                ):
                    found.append(f"{path}{name}")
                walk(option.get("options", {}), f"{path}{name}.")

        walk(options(role), "")
        assert found == []

    @pytest.mark.parametrize("word", BANNED)
    def test_leaves_alone_what_is_not_its_business(self, role: Path, word: str) -> None:
        found = []
        for path in sorted(role.rglob("*")):
            if path.is_file() and path.suffix in {".yml", ".j2"} and path.parts[-2] != "meta":
                for number, line in enumerate(path.read_text().splitlines(), 1):
                    if re.search(BANNED[word], line.split("#")[0]):
                        found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
        assert found == []

    def test_the_desired_state_is_plain_data(self, role: Path) -> None:
        """One idiom: items with `when` and `each`. Derived values in vars/ are expressions, never programs."""
        found = []
        for path in sorted([*role.glob("state/*.yml"), *role.glob("vars/*.yml")]):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                if re.search(r"\{%|from_yaml|\bnamespace\b", line):
                    found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
        assert found == []
        assert len((role / "tasks/main.yml").read_text().splitlines()) <= 40

    def test_has_a_molecule_scenario(self, role: Path) -> None:
        assert (ROOT / "molecule" / role.name / "molecule.yml").is_file()
        assert list((ROOT / "molecule" / role.name).rglob("test_*.py"))

    def test_templates_say_that_they_are_managed(self, role: Path) -> None:
        """All that mirror a destination, except parts of other templates and formats without comments."""
        texts = {path: path.read_text() for path in sorted((role / "templates").rglob("*.j2"))}
        together = "".join(texts.values())
        silent = []
        for path, text in texts.items():
            name = path.relative_to(role / "templates")
            is_part = re.search(rf"(include|import|extends|from) ['\"]{re.escape(str(name))}", together)
            if (
                len(name.parts) > 1
                and not is_part
                and not name.name.endswith((".acl.j2", ".json.j2"))
                and "ansible_managed" not in text[:400]
            ):
                silent.append(str(name))
        assert silent == []

    def test_is_wired_into_site(self, role: Path) -> None:
        playbooks = "".join(path.read_text() for path in (ROOT / "playbooks").glob("*.yml"))
        wired = f"slipway.stack.{role.name}" in playbooks
        assert wired, f"no play of playbooks/*.yml has the role slipway.stack.{role.name}"


def test_wiring_ports_are_the_roles_ports() -> None:
    defaults: dict[str, Any] = {}
    for role in ROLES:
        defaults.update(read(role / "defaults/main.yml"))
    wrong = {}
    for name, service in WIRING["wiring_base_services"].items():
        for variable, default in (("variable", "port"), ("count_variable", "count"), ("enabled_variable", "enabled")):
            if variable in service and defaults.get(service[variable]) != service[default]:
                wrong[f"{name}.{variable}"] = (service[variable], defaults.get(service[variable]), service[default])
    assert wrong == {}


def test_what_the_wiring_derives_is_an_input_of_a_role() -> None:
    known = {name for role in ROLES for name in options(role)}
    assert [name for name in WIRING if not name.startswith("wiring") and name not in known] == []


# Two accounts, each with its own password, whose names happen to be the same.
APART = {"prometheus"}


def test_a_default_that_repeats_another_roles_input_is_derived() -> None:
    """By its name (`monitoring_postgres_port`) or by a value that is no coincidence (a port, a path, an account)."""
    owners: dict[str, list[str]] = {}
    inputs = {name: role.name for role in ROLES for name in options(role)}
    repeated = []
    for role in ROLES:
        for name, value in read(role / "defaults/main.yml").items():
            if name in WIRING:
                continue
            if value and name.removeprefix(f"{role.name}_") in inputs:  # an empty list is a choice among the other's
                repeated.append(name)
            port = isinstance(value, int) and name.endswith("_port") and value
            distinctive = isinstance(value, str) and (value.startswith("/") or name.endswith("_user")) and value
            if (port or distinctive) and value not in APART:
                owners.setdefault(str(value), []).append(name)
    assert repeated == []
    assert {value: names for value, names in owners.items() if len({inputs[name] for name in names}) > 1} == {}


def test_only_the_wiring_reads_the_inventory() -> None:
    """DESIGN section 2: one reader of groups[] and hostvars[]."""
    readers = []
    for path in [*ROOT.glob("playbooks/**/*.yml"), ROOT / "site.yml"]:
        # What hosts found out in this run; the validator's checks.
        # For Google Cloud which environment is meant, and the one that an image comes from.
        allowed = (
            "playbooks/vars/wiring.yml",
            "playbooks/vars/release.yml",
            "playbooks/vars/site_checks.yml",
            "playbooks/gcp/target.yml",
            "playbooks/gcp/vars/defaults.yml",
        )
        if str(path.relative_to(ROOT)) not in allowed and re.search(BANNED["groups or hostvars"], re.sub(r"#.*", "", path.read_text())):
            readers.append(str(path.relative_to(ROOT)))
    assert readers == []


def test_a_job_may_be_started_as_often_as_somebody_asks() -> None:
    """systemd's default refuses the sixth start in ten seconds: right for a service that dies, wrong for a job that ends."""
    jobs = [file for file in (ROOT / "roles").glob("*/templates/**/*.service.j2") if "Type=oneshot" in file.read_text()]
    assert jobs
    assert [file.name for file in jobs if "StartLimitIntervalSec=0" not in file.read_text()] == []


def test_nothing_runs_once() -> None:
    """Since ansible-core 2.20, facts and registers of a `run_once` task are one object: what one host learns later, all have."""
    files = [*ROOT.glob("playbooks/**/*.yml"), *ROOT.glob("roles/**/*.yml"), ROOT / "site.yml"]
    assert [str(path.relative_to(ROOT)) for path in files if "run_once" in path.read_text()] == []


@pytest.mark.parametrize("role", ROLES, ids=role_names())
def test_every_input_reaches_the_host(role: Path) -> None:
    """An input that only its documentation and its checks know changes nothing: `api_live_path` was one for a year."""
    readers = [*role.glob("state/*.yml"), *role.glob("tasks/*.yml"), *role.glob("vars/*.yml"), *role.glob("templates/**/*.j2")]
    text = "".join(path.read_text() for path in readers if path.is_file())
    text += (ROOT / "playbooks/vars/wiring.yml").read_text() + (ROOT / "playbooks/bootstrap.yml").read_text()
    defaults = read(role / "defaults/main.yml")
    seen = {name for name in options(role) if re.search(rf"\b{name}\b", re.sub(rf"(?m)^\s*{name}:", "", text))}
    # A default that another input is made of is read with it.
    for _ in range(3):
        seen |= {name for name in options(role) for other in seen if other in defaults and re.search(rf"\b{name}\b", str(defaults[other]))}
    assert sorted(set(options(role)) - seen) == [], "inputs that no template, state, task or variable of the role reads"


def test_code_names_of_systems_stand_in_the_table_of_platforms_alone() -> None:
    files = [*(ROOT / "roles").rglob("*"), *(ROOT / "playbooks").rglob("*"), *(ROOT / "plugins").rglob("*.py")]
    files = [path for path in files if path.suffix in (".yml", ".j2", ".py", ".sh") and path.parts[-2:] != ("meta", "main.yml")]
    files = [path for path in files if path.name not in ("platform.py", "argument_specs.yml")]  # the table, and words for people
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"\b(bookworm|trixie|jammy|noble|distribution_major_version)\b", line.partition("#")[0])
    ]
    assert found == [], "ask for a version or a feature (platform.nginx is version(...)), so that a new system is one row"
