"""Runs that are not in a folder on this machine: on S3 and other object stores, through fsspec."""

from recbole_apa.runs.remote.objects import RunObjects
from recbole_apa.runs.remote.working_copy import copy_run, open_place

__all__ = ["RunObjects", "copy_run", "open_place"]
