# SPDX-License-Identifier: GPL-3.0-or-later
"""A strict local Google Cloud: routes and validates by Google's own discovery documents."""
