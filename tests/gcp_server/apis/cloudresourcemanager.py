# SPDX-License-Identifier: GPL-3.0-or-later
"""Resource Manager: a project's IAM policy."""

from __future__ import annotations

from ..crud import get_policy, set_policy
from ..world import registry

registry.method("cloudresourcemanager.projects.getIamPolicy")(get_policy)
registry.method("cloudresourcemanager.projects.setIamPolicy")(set_policy)
