# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The driver of Slipway: the lab, and runs of Ansible. It holds no host logic; that is the roles' work."""
