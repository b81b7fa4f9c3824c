# SPDX-License-Identifier: GPL-3.0-or-later
"""One file per API: what its resources do beyond the common verbs."""
