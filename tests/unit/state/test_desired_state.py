"""Items as plain data: `when`, `each` and `as`, evaluated as a role's state file is."""

from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.slipway.stack.plugins.plugin_utils import desired_state

VARIABLES: dict[str, Any] = {
    "instances": [{"name": "broker", "port": 6379, "on_disk": True}, {"name": "cache", "port": 6380, "on_disk": False}],
    "flower": False,
    "tools": ["vim", "htop"],
    "secret": "{{ not a template }}",
}


def evaluated(text: str, tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "main.yml"
    path.write_text(text)
    loader = DataLoader()
    return desired_state.evaluate(desired_state.read(path, loader), Templar(loader, VARIABLES), VARIABLES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("packages: [a, '{{ tools[0] }}']", {"packages": ["a", "vim"]}),
        ("packages: '{{ tools }}'", {"packages": ["vim", "htop"]}),
        ("packages: [{each: '{{ tools }}', name: '{{ item }}'}]", {"packages": [{"name": "vim"}, {"name": "htop"}]}),
        ("packages: [{name: flower, when: flower}, {name: x, when: not flower}]", {"packages": [{"name": "x"}]}),
        ("packages: [{name: x, when: [true, tools | length > 2]}]", {"packages": []}),
        (
            "units: [{each: '{{ instances }}', as: i, name: 'r@{{ i.name }}', ready: {tcp: 'h:{{ i.port }}', timeout: '{{ i.port }}'}}]",
            {
                "units": [
                    {"name": "r@broker", "ready": {"tcp": "h:6379", "timeout": 6379}},
                    {"name": "r@cache", "ready": {"tcp": "h:6380", "timeout": 6380}},
                ]
            },
        ),
        (
            "directories: [{each: '{{ instances }}', as: i, when: i.on_disk, path: '/d/{{ i.name }}'}]",
            {"directories": [{"path": "/d/broker"}]},
        ),
        ("directories: [{each: [], path: /d}]", {"directories": []}),
        # the template of such an item sees its entry, beside variables of its own
        (
            "files: [{each: '{{ instances[:1] }}', as: i, path: /x, template: t.j2, variables: {more: 1}}]",
            {"files": [{"path": "/x", "template": "t.j2", "variables": {"i": VARIABLES["instances"][0], "more": 1}}]},
        ),
        ("timeout: '{{ tools | length * 60 }}'", {"timeout": 120}),
        # values are data, never templates of their own
        ("files: [{path: /x, content: '{{ secret }}'}]", {"files": [{"path": "/x", "content": "{{ not a template }}"}]}),
    ],
)
def test_items_become_plain_data(text: str, expected: dict[str, Any], tmp_path: Path) -> None:
    assert evaluated(text, tmp_path) == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("files: [{path: '{{ nowhere }}'}]", "'nowhere' is undefined"),
        ("files: [{each: '{{ instances }}', as: i, path: '{{ i.pot }}'}]", "has no attribute 'pot'"),
        ("files: [{each: 3, path: /x}]", "files: each is 3; allowed: a list"),
        ("files: [{each: '{{ tools }}', as: a tool, path: /x}]", "files: as is 'a tool'; allowed: the name of a variable"),
        ("files: [{as: tool, path: /x}]", "files: `as` names an entry of `each`, which is missing"),
        ("files: [{path: /x, when: nothing_of_the_kind}]", "'nothing_of_the_kind' is undefined"),
        ("[]", "expected a mapping with the sections packages, groups"),
    ],
)
def test_a_mistake_is_said(text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(AnsibleError) as error:
        evaluated(text, tmp_path)
    assert sentence in str(error.value)
