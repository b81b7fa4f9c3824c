# SPDX-License-Identifier: GPL-3.0-or-later
"""The five example inventories from nothing to ready, all in one run, and again without a change."""

from __future__ import annotations

import time
from pathlib import Path

from tests.gcp.interpreter import quick_python
from tests.gcp.playbooks import CANARY, ROOT, Run, image, playbook, small
from tests.gcp_server.server import GoogleServer

EXAMPLES = {
    "mass-backend": "production",
    "ssr-api": "production",
    "clarity-backend": "production",
    "ai-backend": "production",
    "fineman-west-backend": "production",
}


def test_examples(google: GoogleServer, tmp_path: Path) -> None:
    inventories = [ROOT / "inventories/examples" / name for name in EXAMPLES]
    target = ",".join(f"{name}-{environment}" for name, environment in EXAMPLES.items())

    def provision(*arguments: str) -> tuple[list[str], Run]:
        begin, first = time.monotonic(), len(google.world.requests)
        run = playbook(
            google, "provision", inventories, target, *arguments, release_image=image(1), ansible_python_interpreter=quick_python()
        )
        assert run.code == 0, run.message
        assert CANARY not in run.output
        requests = google.world.requests[first:]
        writes = [str(item) for item in requests if item.verb != "GET" and not item.path.endswith((":getIamPolicy", "/wait"))]
        print(f"{' '.join(arguments) or 'run'}: {time.monotonic() - begin:.0f} s, {len(requests)} requests, {len(writes)} writes")
        return writes, run

    writes, predicted = provision("--check")
    assert writes == []
    writes, real = provision("-vvv")
    assert predicted.changes == real.changes
    # The one thing that nobody can know before: the name of a revision that does not exist yet.
    known = {key for key in real.diffs if not key.startswith("Pin the traffic")}
    assert {key: predicted.diffs[key] for key in known} == {key: real.diffs[key] for key in known}
    writes, again = provision()
    assert (again.changes, writes) == ([], [])
    writes, after = provision("--check")
    assert (after.changes, writes) == ([], [])
    assert google.world.violations == []


def test_refused_before_any_request(google: GoogleServer, tmp_path: Path) -> None:
    inventory = [small(tmp_path, gcp_sql={"name": "shop-db", "tier": "db-f1-micro", "profil": "small"}, gcp_regoin="x")]
    run = playbook(google, "provision", inventory, "shop-production")
    assert run.code != 0
    assert "gcp_regoin" in run.message and "profil" in run.message
    inventory = [small(tmp_path, gcp_run={"name": "shop", "service_account": "shop-sa", "env": {"DB_PASSWORD": "x"}})]
    run = playbook(google, "provision", inventory, "shop-production")
    assert "gcp_run.env names DB_PASSWORD; allowed for secrets" in run.message
    assert google.world.requests == []


def test_another_project_answers(google: GoogleServer, tmp_path: Path) -> None:
    run = playbook(google, "provision", [small(tmp_path, gcp_project_number="42")], "shop-production")
    assert "has the number 123456789012; allowed: 42" in run.message
    assert [request.verb for request in google.world.requests] == ["GET"]
