"""What is refused before anything is written."""

from collections.abc import Mapping
from typing import Any

from recbole_apa.backbone.load import count_layers, load_tokenizer
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.system.machine import kind_from, machine_kind
from recbole_apa.evidence.exactness import FRESH, INHERITED
from recbole_apa.next_item.change import Exchange
from recbole_apa.next_item.data import NextItemData
from recbole_apa.next_item.fit import refuse_large, refuse_untrained
from recbole_apa.next_item.history_text import HistoryEncoder
from recbole_apa.next_item.identifiers import alphabet_of, identifiers_of, refuse_long
from recbole_apa.next_item.options import NextItemOptions
from recbole_apa.next_item.ranking import refuse_topk
from recbole_apa.next_item.run.exports import noted_exports
from recbole_apa.next_item.run.opened import NextItemRun
from recbole_apa.next_item.title_adapters import refuse_device, refuse_layers


def refuse_options(options: NextItemOptions) -> None:
    """Refuse what can be known of a training before any data is read, from the backbone's tokenizer and configuration.

    Raises:
        BackboneError: they are not found.
        SettingsError: adapters are to be trained on a device that trains none, or on more layers than there are; or the
            tokenizer has too few tokens to write codes with.
    """
    settings = options.settings
    if settings.adapters == "none":
        return
    refuse_device(settings, options.device)
    n_layers = count_layers(options.backbone)
    if n_layers is not None:
        refuse_layers(settings, n_layers)
    if settings.adapters == "codes":
        alphabet_of(HistoryEncoder(load_tokenizer(options.backbone)), settings.code_levels, settings.code_size)


def refuse_data(options: NextItemOptions, data: NextItemData) -> None:
    """Refuse what can be known of a training before the backbone is loaded and anything is written.

    Raises:
        DataError: no training row is left.
        SettingsError: the catalogue is too large for counts, or smaller than a list of ``topk``.
    """
    refuse_topk(options.topk, len(data.catalogue))
    refuse_large(len(data.catalogue), options.settings)
    refuse_untrained(data, options.settings)


def refuse_unfit(opened: NextItemRun, made: Exchange, level: str, manifest: Mapping[str, Any]) -> None:
    """Refuse, before it is in the ledger, what could not be carried out: it would wait for ever.

    Raises:
        DataError: no training row is left.
        RunError: the list of files with recommendations is damaged, which a certificate names.
        SettingsError: this is another kind of machine than the run's, or a device that trains no adapters, or a history
            has more tokens than the backbone reads.
    """
    settings, after = opened.options.settings, made.new
    if opened.folder is not None:
        noted_exports(opened.folder)
    refuse_untrained(after, settings)
    refuse_device(settings, opened.options.device)
    if level == INHERITED:
        refuse_other_machine(opened, manifest)
    changed = [after.of_user[user] for user in made.change.users if user in after.of_user]
    opened.reader.refuse_long(changed, settings.all_rows)
    if opened.state.codes is not None:
        states, catalogue = opened.reader.states, after.catalogue
        refuse_long(identifiers_of(catalogue, states.encoder, opened.state.codes), states, catalogue, changed)


def refuse_other_machine(opened: NextItemRun, manifest: Mapping[str, Any]) -> None:
    """
    Raises:
        SettingsError: this is another kind of machine than the run's.
    """
    here, then = machine_kind(opened.options.device), kind_from(manifest["machine"])
    if then is None or not here.rounds_like(then):
        was = "unknown" if then is None else then.text()
        raise SettingsError(
            f"the run comes from another kind of machine ({was}; here: {here.text()}), which rounds differently: "
            f"expected a machine like the run's; --exactness={FRESH} trains everything again for a request, and "
            f"from Python forget_next_items(RUN, exactness={FRESH!r}) finishes what waits"
        )
