"""Which labels adapters learn from; worked out from samples alone, it needs the tokenizer and no model."""

from collections.abc import Iterable, Sequence

from recbole_apa.backbone.load import load_tokenizer
from recbole_apa.backbone.prompt_encoder import PromptEncoder, TokenizedPrompt
from recbole_apa.data.dataset import APADataset
from recbole_apa.data.prompts import choose_template
from recbole_apa.data.recbole_settings import read_settings
from recbole_apa.data.samples import Sample
from recbole_apa.pipeline.config import APAConfig


def learnt_ids(config: APAConfig, samples: Sequence[Sample], prompts: Iterable[TokenizedPrompt]) -> set[str]:
    """Interactions whose labels the adapters are trained on: targets, and the lines of histories if they are
    supervised and not cut.

    Args:
        prompts: of the samples, in order.
    """
    learnt = {sample.sample_id for sample in samples}
    if config["supervise"] == "all":
        for sample, prompt in zip(samples, prompts, strict=True):
            n_lines = len(prompt.labels)
            learnt.update(entry.interaction_id for entry in sample.history[len(sample.history) - n_lines :])
    return learnt


def count_learnt(config: APAConfig, train_set: APADataset) -> int:
    """How many they are, of the samples of a training part.

    Raises:
        APAError: the tokenizer is not on this machine, or does not fit the template.
    """
    settings = read_settings(config)
    template = choose_template(settings.prompts.template, settings.prompts.prompt_template)
    tokenizer = load_tokenizer(settings.backbone, only_here=True)
    encoder = PromptEncoder(tokenizer, template, settings.prompts.max_prompt_tokens)
    prompts = map(encoder.encode, train_set.prompt_inputs(train_set.samples))
    return len(learnt_ids(config, train_set.samples, prompts))
