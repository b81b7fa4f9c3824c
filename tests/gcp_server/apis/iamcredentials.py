# SPDX-License-Identifier: GPL-3.0-or-later
"""IAM Credentials: tokens for impersonated accounts, named after whom they stand for."""

from __future__ import annotations

import datetime

from ..discovery import Json
from ..world import Call, registry


@registry.method("iamcredentials.projects.serviceAccounts.generateAccessToken")
def generate(call: Call) -> Json:
    """The token tells the account, the caller and the chain, so that a test can see who acts as whom."""
    account = call.path.rpartition("/")[2].partition(":")[0].partition("@")[0]
    chain = [name.rpartition("/")[2] for name in call.body.get("delegates", [])]
    expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    caller = call.headers["authorization"].removeprefix("Bearer ")
    return {"accessToken": "-".join([account, "for", caller, *chain]), "expireTime": expires.strftime("%Y-%m-%dT%H:%M:%SZ")}


@registry.method("iamcredentials.projects.serviceAccounts.generateIdToken")
def identify(call: Call) -> Json:
    """The server remembers whose it is and for which address."""
    email = call.path.rpartition("/")[2].partition(":")[0]
    token = f"identity-of-{email}-{next(call.world.numbers)}"
    call.world.identities[token] = (f"serviceAccount:{email}", call.body["audience"])
    return {"token": token}
