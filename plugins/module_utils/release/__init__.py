"""Releases of an application: what identifies one, how it is built, which ones are kept."""
