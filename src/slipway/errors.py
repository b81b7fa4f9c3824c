"""The one error a user of the driver sees."""


class SlipwayError(Exception):
    """Something the user can act on. Its text says what happened and what to do; it is printed without a traceback."""
