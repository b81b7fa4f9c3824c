"""A small order service: the payload of the lab and a template to copy."""

__version__ = "1.0.0"
