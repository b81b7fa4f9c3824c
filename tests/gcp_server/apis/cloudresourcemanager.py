# SPDX-License-Identifier: GPL-3.0-or-later
"""Resource Manager: projects and their IAM policies."""

from __future__ import annotations

from ..crud import get_policy, set_policy
from ..discovery import Json
from ..world import PROJECT_NUMBER, Call, registry

registry.method("cloudresourcemanager.projects.getIamPolicy")(get_policy)
registry.method("cloudresourcemanager.projects.setIamPolicy")(set_policy)


@registry.method("cloudresourcemanager.projects.get")
def get_project(call: Call) -> Json:
    """Every project exists here, all with the same number."""
    return {"projectId": call.groups["projectId"], "projectNumber": PROJECT_NUMBER, "lifecycleState": "ACTIVE"}
