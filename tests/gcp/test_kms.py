# SPDX-License-Identifier: GPL-3.0-or-later
"""Key rings and keys: for ever, with a rotation that can be set, changed and stopped."""

from __future__ import annotations

from pathlib import Path

from tests.gcp.lifecycle import Lifecycle, play, task
from tests.gcp_server.server import GoogleServer

PLACE = {"project": "demo", "region": "us-central1"}
RINGS = "v1/projects/demo/locations/us-central1/keyRings"


def test_ring_and_key(google: GoogleServer, tmp_path: Path) -> None:
    path = f"{RINGS}/mass/cryptoKeys/database"
    ring = PLACE | {"name": "mass"}
    steps = Lifecycle(
        module="gcp_kms_key",
        setup=[
            task("ring-check", "gcp_kms_key_ring", ring, check=True),
            task("ring", "gcp_kms_key_ring", ring),
            task("ring-again", "gcp_kms_key_ring", ring),
        ],
        base=PLACE | {"key_ring": "mass", "name": "database", "rotation_period": "90d", "labels": {"app": "mass", "old": "yes"}},
        change={"rotation_period": "30d"},
        drop={"labels": {"app": "mass"}, "rotation_period": "0"},
        drift=("PATCH", f"cloudkms/{path}?updateMask=labels", {"labels": {"app": "other"}}),
        absent=None,
        requests={
            "create": [f"GET cloudkms {path}", f"POST cloudkms {RINGS}/mass/cryptoKeys?cryptoKeyId=database"],
            "create-again": [f"GET cloudkms {path}"],
            "change": [f"GET cloudkms {path}", f"PATCH cloudkms {path}?updateMask=nextRotationTime,rotationPeriod"],
        },
    ).verify(google, tmp_path)
    assert [steps[name].changed for name in ("ring-check", "ring", "ring-again")] == [True, True, False]
    assert steps["ring"].lines == [f"GET cloudkms {RINGS}/mass", f"POST cloudkms {RINGS}?keyRingId=mass"]
    assert "rotationPeriod" not in google.world.objects["cloudkms" + path[2:]]


def test_refusals(google: GoogleServer, tmp_path: Path) -> None:
    key = PLACE | {"key_ring": "mass", "name": "sign", "purpose": "ASYMMETRIC_SIGN", "algorithm": "EC_SIGN_P256_SHA256"}
    steps = play(
        google,
        tmp_path,
        [
            task("ring", "gcp_kms_key_ring", PLACE | {"name": "mass"}),
            task("sign", "gcp_kms_key", key),
            task("rotating", "gcp_kms_key", key | {"rotation_period": "90d"}),
            task("often", "gcp_kms_key", key | {"purpose": "ENCRYPT_DECRYPT", "rotation_period": "1h"}),
            task("purpose", "gcp_kms_key", key | {"purpose": "ENCRYPT_DECRYPT"}),
        ],
    )
    assert steps["sign"].changed
    assert "does not rotate by itself" in steps["rotating"].result["msg"]
    assert "at least 24h" in steps["often"].result["msg"]
    assert "purpose" in steps["purpose"].result["msg"]
    assert "cannot become" in steps["purpose"].result["msg"]
    assert google.world.violations == []
