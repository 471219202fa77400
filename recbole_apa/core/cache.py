"""Where downloads and copies are kept: in the user's cache folder, or wherever RECBOLE_APA_CACHE points."""

import getpass
import os
from pathlib import Path

from platformdirs import user_cache_path

from recbole_apa.core.errors import RunError

CACHE_VARIABLE = "RECBOLE_APA_CACHE"
CACHE_ADVICE = f"set the environment variable {CACHE_VARIABLE} to a writable folder"


def cache_root() -> Path:
    """The user's cache folder, or the one named by the environment variable RECBOLE_APA_CACHE.

    Raises:
        RunError: the variable is not set, and the user has no home directory.
    """
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    try:
        root = user_cache_path("recbole-apa")
    except (RuntimeError, KeyError):
        root = Path("~")
    if not root.is_absolute():  # a "~" that could not be expanded
        raise RunError(f"this user ({user_name()}) has no home directory to keep a cache in; {CACHE_ADVICE}")
    return root


def cache_folder(part: str) -> Path:
    """A folder in the cache, created if missing.

    Raises:
        RunError: it cannot be created, or is not writable.
    """
    folder = cache_root() / part
    try:
        folder.mkdir(parents=True, exist_ok=True)
        problem = "" if os.access(folder, os.W_OK | os.X_OK) else "no right to write there"
    except OSError as error:
        problem = str(error)
    if problem:
        raise RunError(f"cannot write the cache {folder}: {problem}; {CACHE_ADVICE}")
    return folder


def user_name() -> str:
    """The user running this process, or the user id where there is no name for it, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return str(os.getuid())
