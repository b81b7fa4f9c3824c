"""Which jobs of tests/run a change can break: `tests/run --changed`.

A path is looked up from the top; the first pattern that fits decides. What no pattern names can break everything.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

# Seconds, not minutes, and nearly every mistake: they always run.
ALWAYS = ["lint/mypy", "lint/ruff", "lint/ruff-format", "lint/shellcheck", "lint/yamllint", "unit/unit", "contract/contract"]
EVERYTHING = ["*"]
# Pattern of a path -> jobs, `layer/name` or `layer/*`; {role} is the part of the path of that name.
AFFECTS: list[tuple[str, list[str]]] = [
    (r"docs/|LICENSE|COPYING|meta/|galaxy\.yml|requirements\.yml|changelogs/|\.github/|[^/]+\.md$|.*/README\.md$", []),
    (r"tests/(unit|contract|mutations|bench|public|soak)/|tests/(run|changed\.py|conftest\.py)$", []),
    (r"\.(gitignore|editorconfig|pre-commit-config\.yaml|ansible-lint|yamllint\.yml)$|Makefile$|scripts/|\.ci/", []),
    (r"molecule/(shared/|[^/]+\.py$)|\.config/molecule/|tests/quick/", ["molecule/redis", "molecule/state"]),
    (r"(roles|molecule)/(?P<role>\w+)/", ["molecule/{role}", "lint/ansible-lint"]),
    (r"plugins/.*gcp|playbooks/gcp/|tests/gcp|inventories/examples/", ["gcp/*", "lint/ansible-lint"]),
    (
        r"plugins/(action|modules|module_utils/state|plugin_utils)/(.*state.*|[a-z_]*(state|certificates|files|units)\.py)$",
        ["molecule/state"],
    ),
    (r"plugins/module_utils/postgres\.py|plugins/modules/postgres_\w+\.py", ["molecule/postgres"]),
    (r"plugins/(.*/)?release", ["molecule/api", "molecule/celery_workers"]),
    (r"plugins/(.*/)?(validate_inventory|inventory_check)|playbooks/validate\.yml|playbooks/vars/site_spec\.yml", ["e2e/*"]),
    (r"plugins/|playbooks/|site\.yml$|inventories/(lab|prod)/|tests/e2e/|tests/lab\.py$", ["e2e/*", "lint/ansible-lint"]),
    (r"inventories/single/|tests/faults/test_single\.py|tests/faults/third_party\.yml", ["faults/single"]),
    (r"tests/faults/", ["faults/*"]),
    (r"examples/orders/", ["example/*"]),
    (r"images/|src/slipway/(lab|network|host|image|engine|controller|scenario|demo|lock|play)\.py$", ["molecule/redis", "e2e/*"]),
    (r"src/slipway/", []),
]


def jobs(paths: Iterable[str]) -> list[str]:
    """The jobs that changes of these paths can break, sorted; `*` and `layer/*` stand for all."""
    found = set(ALWAYS)
    for path in paths:
        for pattern, names in AFFECTS:
            if match := re.match(pattern, path):
                found |= {name.format(**match.groupdict()) for name in names}
                break
        else:
            found |= set(EVERYTHING)
    return sorted(found)


def is_chosen(key: str, chosen: Iterable[str]) -> bool:
    """Whether `layer/name` is among jobs as `jobs` names them."""
    return bool({key, f"{key.split('/')[0]}/*", "*"} & set(chosen))


def paths(root: Path) -> list[str]:
    """What differs from the trunk: commits that are only here, changes that are not committed, files that git does not know.

    The trunk is origin/main, else main; on the trunk itself, the last commit is the change.
    """

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False).stdout.strip()

    trunk = next((name for name in ("origin/main", "main") if git("rev-parse", "--verify", "--quiet", name)), "HEAD")
    base = git("merge-base", "HEAD", trunk)
    known = git("diff", "--name-only", base).splitlines()
    unknown = git("ls-files", "--others", "--exclude-standard").splitlines()
    if not known and not unknown:
        known = git("diff", "--name-only", "HEAD~1").splitlines()
    return sorted({*known, *unknown})
