# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one error a user of the driver sees."""


class SlipwayError(Exception):
    """Something the user can act on. Its text says what happened and what to do; it is printed without a traceback."""
