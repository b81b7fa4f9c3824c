"""Bad arguments of slipway.stack.state, each with the sentence its author reads."""

from typing import Any

import pytest
from ansible_collections.slipway.stack.plugins.module_utils.state import spec

FILE = {"path": "/etc/x", "content": "x"}
UNIT = {"name": "x.service"}


def problems(**arguments: Any) -> list[str]:
    try:
        spec.normalise(arguments)
    except spec.SpecError as error:
        return error.problems
    return []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"unit": []}, "unknown key 'unit' (did you mean 'units'?); allowed: from, packages, "),
        ({"files": [{**FILE, "ownr": "x"}]}, "files[0] (/etc/x): unknown key 'ownr' (did you mean 'owner'?)"),
        ({"files": {"path": "/etc/x"}}, "files must be a list, got dict"),
        ({"files": ["/etc/x"]}, "files[0] must be a dictionary, got str"),
        ({"files": [{"content": "x"}]}, "files[0]: 'path' is required"),
        (
            {"files": [{"path": "/etc/x"}]},
            "files (/etc/x): give exactly one of template, content, source, link (or state: absent); got none",
        ),
        ({"files": [{**FILE, "link": "/y"}]}, "got content, link"),
        ({"files": [{**FILE, "state": "absent"}]}, "state absent goes without content"),
        ({"files": [{**FILE, "mode": 0o644}]}, 'files[0] (/etc/x).mode must be quoted octal digits such as "0644", got the number 420'),
        ({"files": [{**FILE, "mode": "0888"}]}, "mode '0888' must be quoted octal digits"),
        ({"files": [{**FILE, "path": "etc/x"}]}, "path 'etc/x' must be absolute"),
        ({"files": [{**FILE, "path": "/etc/../x"}]}, "must be absolute and without '..'"),
        ({"files": [FILE, FILE]}, "files: '/etc/x' is listed twice"),
        ({"files": [{**FILE, "validate": "sshd -t"}]}, "validate must contain %s"),
        ({"files": [{**FILE, "variables": {"a": 1}}]}, "variables only go with template"),
        ({"files": [{**FILE, "secret": "perhaps"}]}, "files[0] (/etc/x).secret must be true or false, got 'perhaps'"),
        ({"packages": [{"name": "x", "state": "latest"}]}, "packages[0] (x).state is 'latest'; allowed: present, absent"),
        ({"units": [{"name": "nginx"}]}, "units (nginx): name must end with one of .service"),
        ({"units": [{**UNIT, "state": "restarted"}]}, "units[0] (x.service).state is 'restarted'; allowed: started, stopped"),
        ({"units": [{**UNIT, "masked": True, "enabled": True}]}, "can be neither enabled nor started"),
        ({"units": [{**UNIT, "ready": {"tpc": "x:1"}}]}, "units[0] (x.service).ready: unknown key 'tpc' (did you mean 'tcp'?)"),
        ({"units": [{**UNIT, "ready": {"timeout": 3}}]}, "ready needs exactly one of tcp, http, unix, command, unit_active; got none"),
        ({"units": [{**UNIT, "ready": {"tcp": "localhost"}}]}, "ready.tcp is 'localhost'; expected host:port"),
        ({"units": [{**UNIT, "ready": {"http": "localhost/"}}]}, "expected http://... or https://..."),
        ({"users": [{"name": "x", "uid": "many"}]}, "users[0] (x).uid must be a whole number, got 'many'"),
        ({"timeout": "soon"}, "timeout must be a whole number, got 'soon'"),
    ],
)
def test_a_problem_names_section_item_key_value_and_what_is_allowed(arguments: dict[str, Any], sentence: str) -> None:
    (problem,) = problems(**arguments)
    assert sentence in problem


def test_all_problems_come_at_once() -> None:
    assert len(problems(files=[{**FILE, "ownr": "x"}], units=[{**UNIT, "state": "on"}], packages=[{"state": "absent"}])) == 3


def test_a_wrong_password_is_not_repeated() -> None:
    (problem,) = problems(users=[{"name": "x", "password": ["hash-canary"]}])
    assert "canary" not in problem and "(not shown)" in problem


def test_defaults_are_filled_in_and_short_forms_written_out() -> None:
    result = spec.normalise({"packages": ["nginx"], "directories": [{"path": "/srv/x/"}], "files": [{**FILE, "force": "no"}]})
    assert result["packages"] == [{"name": "nginx", "state": "present", "version": None, "default_release": None, "recommends": False}]
    assert (result["directories"][0]["path"], result["directories"][0]["mode"]) == ("/srv/x", "0755")
    assert (result["files"][0]["force"], result["files"][0]["owner"], result["files"][0]["mode"]) == (False, "root", "0644")
    assert result["units"] == [] and result["timeout"] == 600
