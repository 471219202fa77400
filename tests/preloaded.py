"""Imported by the fork server of test_interruption: everything slow, once."""

from tests.killed_process import preload

preload()
