"""What workers are sent of the data: the samples of the splits that they work on, and nothing else."""

import pickle

from hypothesis import given
from hypothesis import strategies as st

from recbole_apa.data.prompts import PromptInput
from recbole_apa.data.samples import HistoryEntry, Sample
from recbole_apa.data.sent_samples import samples_to_send
from recbole_apa.pipeline.config import APAConfig
from recbole_apa.pipeline.workers.received import ReceivedData

ITEMS = st.sampled_from(["a", "b", "c:d", "", "é"])


@st.composite
def splits(draw):
    """Samples of two splits, any of which may be empty, with histories of any length."""
    out = {}
    for name in ("train", "valid"):
        histories = draw(st.lists(st.lists(st.tuples(ITEMS, st.integers(0, 1)), max_size=4), max_size=4))
        out[name] = [
            Sample(
                f"{name}:{n}",
                "user",
                draw(ITEMS),
                draw(st.integers(0, 1)),
                tuple(HistoryEntry(item, label, f"secret{n}") for item, label in history),
            )
            for n, history in enumerate(histories)
        ]
    return out


def shown(sent, name):
    """What prompts of a split's samples are made of."""
    told = sent.splits[name]
    for row, sample_id in enumerate(told.ids):
        n = told.n_history[row]
        assert not told.history[row, n:].any()
        history = zip(told.history[row, :n].tolist(), told.history_labels[row, :n].tolist(), strict=True)
        yield (
            sample_id,
            sent.texts[told.items[row]],
            int(told.labels[row]),
            tuple((sent.texts[item], label) for item, label in history),
        )


@given(splits())
def test_what_is_sent_is_what_prompts_are_made_of(splits):
    sent = samples_to_send(splits, "text of {}".format)
    assert list(sent.splits) == ["train", "valid"]
    for name in sent.splits:
        assert list(shown(sent, name)) == [
            (s.sample_id, f"text of {s.item_id}", s.label, tuple((f"text of {e.item_id}", e.label) for e in s.history))
            for s in splits[name]
        ]
    named = {i for name in sent.splits for s in splits[name] for i in (s.item_id, *(e.item_id for e in s.history))}
    assert sorted(sent.texts[1:]) == sorted(f"text of {item}" for item in named)


@given(splits())
def test_rows_of_histories_are_not_named(splits):
    assert b"secret" not in pickle.dumps(samples_to_send(splits, str))


def test_a_worker_has_the_prompts_and_batches_of_the_main_process(finished, options):
    part, valid, model = finished.data.train_set, finished.data.valid_set, finished.model
    sent = samples_to_send({"train": part.samples, "valid": valid.samples}, part.run_data.texts.text_of)
    data = ReceivedData(sent, APAConfig("APA", "board", None, options))
    ids = [s.sample_id for s in part.samples][::-2]
    asked = (ids, 4, options["seed"])

    def inputs(batches):
        return [(model.prompt_inputs(batch), batch["label"].tolist()) for e in range(2) for batch in batches.epoch(e)]

    here = inputs(finished.data.train.shard(*asked))
    try:
        model.use_dataset(data)
        assert inputs(data.batches(*asked)) == here
        assert model.prompt_inputs(data.table("valid")) == valid.prompt_inputs(valid.samples)
        assert isinstance(model.prompt_inputs(data.table("train"))[0], PromptInput)
    finally:
        model.use_dataset(part)
