# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`python -m slipway` is the command `slipway`."""

from slipway.cli import main

raise SystemExit(main())
