"""Work on keys: add a new one, or key the digests that an older version wrote."""

from recbole_apa.cli.arguments import Words, take
from recbole_apa.cli.option_facts import Use
from recbole_apa.cli.output import Output
from recbole_apa.cli.stages import KeyOptions, names_for
from recbole_apa.core.errors import SettingsError
from recbole_apa.evidence import KEY_FILE, key_ring


def is_asked(words: Words) -> bool:
    """Whether ``--rotate_key`` or ``--key_digests`` is given."""
    return bool(set(names_for(Use.CHOOSES, KeyOptions)) & set(words))


def serve(words: Words, out: Output) -> int:
    """Carry out ``--rotate_key`` or ``--run=DIR --key_digests``, and say what was done.

    Raises:
        SettingsError: other options next to it, or a run that needs no keying.
        KeyFileError: the key file is damaged, or cannot be written.
    """
    asked, others = take(KeyOptions, words)
    if asked.rotate_key and asked.key_digests:
        raise SettingsError("--rotate_key and --key_digests: give one command for each")
    name = "rotate_key" if asked.rotate_key else "key_digests"
    beside = sorted({*others, *(["run"] if asked.rotate_key and asked.run is not None else [])})
    if beside:
        raise SettingsError(f"--{beside[0]} does not go with --{name}")
    if asked.rotate_key:
        _rotate(asked, out)
    else:
        _key_digests(asked, out)
    return 0


def _rotate(asked: KeyOptions, out: Output) -> None:
    ring = key_ring({KEY_FILE: asked.key_file})
    key = ring.rotate()
    told = f"{ring.path}: requests use the key {key.name} from now on; the others are kept for older digests"
    out.tell(told, rotate_key=lambda: {"key_file": ring.path, "key": key.name})


def _key_digests(asked: KeyOptions, out: Output) -> None:
    if asked.run is None:
        raise SettingsError("--key_digests: expected on a finished run, e.g. --run=saved/APA-ml-100k-... --key_digests")
    from recbole_apa.next_item.run.store import KIND, is_next_item_run
    from recbole_apa.unlearning.key_digests import convert

    if is_next_item_run(asked.run):
        raise SettingsError(
            f"--key_digests: found a run of {KIND}, whose digests have had a key from the start; expected an older run "
            "of APA"
        )

    changed = convert(asked.run, {} if asked.key_file is None else {KEY_FILE: asked.key_file})
    told = "no digest is left that is only salted"
    if changed:
        told = "all digests of what was forgotten are now keyed; the run no longer opens without the key file"
    out.tell(f"{asked.run}: {told}", key_digests=lambda: {"run": asked.run, "changed": bool(changed)})
