#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guarded_state
short_description: Apply a state that could shut the controller out, with the host's own undo
version_added: 0.1.0
author: Slipway maintainers (@slipway)
description:
  - Applies O(state) like M(slipway.stack.state), for changes after which the controller may not get in any more.
    Packet filter, sshd, keys and sudo rules are such changes.
  - When something would change, the host first keeps copies of all files that O(state) names and starts a timer that puts them back.
    After the change the controller opens a B(new) connection, through which it cancels the timer.
    A controller that is locked out cannot cancel it, so the host comes back by itself, also over a reboot.
  - When nothing would change, no timer is started. Check mode reports what M(slipway.stack.state) would report.
options:
  name:
    description: A short name of the change, part of the names of the timer and its unit.
    type: str
    required: true
  timeout:
    description: Seconds after which the host puts the earlier files back.
    type: int
    required: true
  undo:
    description: Shell lines that the host runs as root after it has put the earlier files back, such as a reload.
    type: list
    elements: str
    required: true
  port:
    description: The port for the new connection, when the change moves sshd. Later tasks still use the inventory's port.
    type: int
  state:
    description: The arguments of M(slipway.stack.state). Packages and accounts are not undone, so give them to an earlier task.
    type: dict
    required: true
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode
    support: full
  idempotent:
    description: A second run with the same options, on a host that nobody else has changed, changes nothing.
    support: full
seealso:
  - module: slipway.stack.state
"""

EXAMPLES = r"""
- name: Load the rules, confirmed by a new connection
  slipway.stack.guarded_state:
    name: firewall
    timeout: 60
    undo:
      - systemctl restart slipway-firewall.service
    state:
      files:
        - path: /etc/slipway/firewall.nft
          template: etc/slipway/firewall.nft.j2
          validate: nft -c -f %s
"""

RETURN = r"""
msg:
  description: On failure, why no new connection confirmed the change and how the host is now.
  type: str
  returned: failure
"""
