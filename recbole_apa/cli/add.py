"""``--run=DIR --add=FILE``: interactions join a finished run."""

from collections.abc import Mapping
from pathlib import Path

from recbole_apa.cli.fields import add_fields
from recbole_apa.cli.option_facts import Use
from recbole_apa.cli.output import Output
from recbole_apa.cli.stages import AddOptions, ForgetOptions, names_for
from recbole_apa.core.errors import SettingsError

_SHARED = frozenset(names_for(Use.WITH_ADD, ForgetOptions))


def is_asked(addition: AddOptions, request: ForgetOptions, others: Mapping[str, object]) -> bool:
    """Whether the options ask to add something.

    Args:
        request: what is asked to be forgotten, and the options that go with an addition, too.
        others: options of other commands, false unless given.

    Raises:
        SettingsError: an empty name, or options that do not go together: none is dropped silently.
    """
    if addition.add is None:
        beside = [name for name, value in vars(addition).items() if value]
        if beside:
            raise SettingsError(f"--{beside[0]}: found no addition; expected together with --add=FILE")
        return False
    if not addition.add.strip():
        raise SettingsError("--add: found no value (an empty variable?); expected the file of what is to be added")
    forgetting = [name for name, value in vars(request).items() if value not in (None, False) and name not in _SHARED]
    given = [*forgetting, *(name for name, value in others.items() if value not in (None, False))]
    if given:
        raise SettingsError(f"--{given[0]} does not go with --add; give one command for each")
    return True


def carry_out(
    folder: str, addition: AddOptions, manner: ForgetOptions, changes: Mapping[str, object], out: Output
) -> None:
    """Add to a run, and tell the result.

    Args:
        manner: the options that requests have, too.
        changes: settings that may be others than the run's.
    """
    from recbole_apa.unlearning.additions.stage import add
    from recbole_apa.unlearning.additions.texts import result_text

    result = add(
        folder,
        Path(str(addition.add)),
        columns=addition.add_columns,
        readmit=addition.readmit,
        dry_run=manner.dry_run,
        config_dict=changes,
        other_machine=manner.other_machine if manner.other_machine is not None else "refuse",
    )
    out.tell(result_text(result), add=lambda: add_fields(result))
