"""Glacier Sync: restored Glacier objects become verified, audited, archived works."""

__version__ = "0.1.0"
