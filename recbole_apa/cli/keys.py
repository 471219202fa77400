"""The command line's work on keys: a new one, and digests of an older version keyed."""

from collections.abc import Mapping
from typing import Any

from recbole_apa.core.errors import SettingsError
from recbole_apa.evidence import KEY_FILE, key_ring


def serve_keys(asked: Mapping[str, Any], options: dict[str, Any]) -> str:
    """Carry out ``--rotate_key`` or ``--run=DIR --key_digests``, and say what was done.

    Raises:
        SettingsError: other options beside it.
        KeyFileError: the key file is damaged, or cannot be written.
    """
    if len(asked) > 1:
        raise SettingsError("--rotate_key and --key_digests: give one command for each")
    (name,) = asked
    known = {KEY_FILE} if name == "rotate_key" else {KEY_FILE, "run"}
    others = sorted(set(options) - known)
    if others:
        raise SettingsError(f"--{others[0]} does not go with --{name}")
    if name == "rotate_key":
        ring = key_ring(options)
        key = ring.rotate()
        return f"{ring.path}: requests use the key {key.name} from now on; the others stay for what they keyed"
    if "run" not in options:
        raise SettingsError("--key_digests: expected on a finished run, e.g. --run=saved/APA-ml-100k-... --key_digests")
    from recbole_apa.unlearning.key_digests import convert

    done = convert(options["run"], options)
    if not done:
        return f"{options['run']}: nothing is left that is salted alone"
    return f"{options['run']}: all digests of what was forgotten are keyed now; without the key file it does not open"
