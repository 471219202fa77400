"""Imported by the fork server of tests/conftest.py: everything slow, once."""

from tests.helpers.killed_process import preload

preload()
