"""What training costs: one adapter with our trainer and with a TALLRec-style script (transformers' Trainer and PEFT).

    python -m benchmarks.training --out=benchmarks/results/training.json
    python -m benchmarks.training --small

The same samples, prompts, epochs, batch size, rank and learning rate. The script does what such scripts do: LoRA in all
layers, loss over the whole vocabulary at the answer, padding to the longest prompt of a batch (a multiple of 8). Ours:
the upper half of the layers, only the two answers, every answered line supervised, the frozen trunk once; and the same
with adapters in the upper quarter and in all layers. Frozen passes are included, loading is not. The AUC on the
validation samples is shown next to the times: being faster is worthless if it is worse.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from tabulate import tabulate
from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

from benchmarks.command import begin, command, keep
from benchmarks.timing import ratios
from recbole_apa import APA, APAConfig
from recbole_apa.backbone.load import load_backbone
from recbole_apa.backbone.prompt_encoder import TokenizedPrompt
from recbole_apa.data.dataloader import ShardBatches
from recbole_apa.evaluation.metrics import auc
from recbole_apa.model.shard_trainer import ShardTrainer
from recbole_apa.pipeline.build import build

OURS, THEIRS = "recbole-apa", "transformers Trainer + PEFT"
TRUNKS = {"recbole-apa, upper quarter": 0.75, "recbole-apa, all layers": 0}
"""Contender -> its trunk_layers; ``OURS`` has the default."""


def train_ours(model: APA, train: Any) -> float:
    """Seconds of frozen passes and of training one adapter on all samples."""
    model.engine.keep_only([])
    settings = model.settings
    everything = ShardBatches(
        train.labelled, range(len(train.samples)), train.samples, settings.training.train_batch_size, settings.seed
    )
    start = time.perf_counter()
    model.engine.freeze(model.prompts(train.labelled))
    factors, *_ = ShardTrainer(model, False).fit(0, 1, everything, lambda *a: None)
    seconds = time.perf_counter() - start
    model.set_adapters([factors])
    return seconds


def train_theirs(model: APA, prompts: list[TokenizedPrompt], labels: list[int], folder: Path) -> tuple[float, Any]:
    """Seconds of ``Trainer.train``, and PEFT's model."""
    s, answers = model.settings, model.engine.encoder.answers
    device = torch.device(model.device)
    loaded = load_backbone(s.backbone, device)
    torch.manual_seed(s.seed)
    peft = get_peft_model(
        loaded.model,
        LoraConfig(
            task_type="CAUSAL_LM",
            r=s.adapters.lora_rank,
            lora_alpha=s.adapters.lora_alpha,
            target_modules=list(s.adapters.target_modules),
        ),
    )
    rows = []
    for prompt, label in zip(prompts, labels, strict=True):
        ids = [*prompt.ids, answers.yes if label else answers.no]
        rows.append({"input_ids": ids, "labels": [-100] * len(prompt.ids) + ids[-1:]})
    tokenizer = loaded.tokenizer
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=s.training.train_batch_size,
        num_train_epochs=s.training.epochs,
        learning_rate=s.training.learning_rate,
        warmup_steps=s.training.warmup_ratio,
        max_grad_norm=s.training.max_grad_norm or 0.0,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        logging_strategy="no",
        use_cpu=device.type == "cpu",
        seed=s.seed,
    )
    trainer = Trainer(peft, arguments, DataCollatorForSeq2Seq(tokenizer, padding=True, pad_to_multiple_of=8), rows)
    start = time.perf_counter()
    trainer.train()
    return time.perf_counter() - start, peft.eval()


@torch.no_grad()
def scores_of(peft: Any, model: APA, prompts: list[TokenizedPrompt]) -> np.ndarray:
    """sigmoid(z_yes - z_no) by PEFT's model, prompt by prompt, (n,)."""
    answers = model.engine.encoder.answers
    out = []
    for prompt in prompts:
        z = peft(input_ids=torch.tensor([prompt.ids], device=peft.device), logits_to_keep=1).logits[0, -1].float()
        out.append(float(torch.sigmoid(z[answers.yes] - z[answers.no])))
    return np.array(out)


def measure(options: dict[str, Any], repetitions: int) -> dict[str, Any]:
    """Seconds per sample by repetition, interleaved, and the AUC of each contender's last training."""
    model, data = build(APAConfig("APA", "ml-100k", config_dict=options))
    ours = {OURS: model}
    for name, trunk in TRUNKS.items():
        ours[name], _ = build(APAConfig("APA", "ml-100k", config_dict={**options, "trunk_layers": trunk}))
    train, valid = data.train_set, data.valid_set
    prompts, targets = model.prompts(train.labelled), [s.label for s in train.samples]
    judged, labels = model.prompts(valid.labelled), np.array([s.label for s in valid.samples])
    seconds: dict[str, list[float]] = {name: [] for name in (*ours, THEIRS)}
    for _ in range(repetitions):
        for name, mine in ours.items():
            seconds[name].append(train_ours(mine, train) / len(prompts))
        with tempfile.TemporaryDirectory() as folder:
            taken, peft = train_theirs(model, prompts, targets, Path(folder))
        seconds[THEIRS].append(taken / len(prompts))
    found = ratios(seconds, OURS)
    one = torch.ones(len(judged), 1)
    for name, mine in ours.items():
        found[name]["auc"] = auc(labels, mine.engine.scores(judged, one, "decomposition").numpy())
    found[THEIRS]["auc"] = auc(labels, scores_of(peft, model, judged))
    return {"n_train": len(prompts), "n_valid": len(labels), "contenders": found}


def table(record: dict[str, Any]) -> str:
    """Seconds, ratio to ours, AUC."""
    body = [
        [
            name,
            f"{f['seconds_per_sample']:.3f}",
            f"{f['ratio']:.2f} ({f['ratio_low']:.2f}-{f['ratio_high']:.2f})",
            "" if f["auc"] is None else f"{f['auc']:.4f}",
        ]
        for name, f in record["contenders"].items()
    ]
    head = ["training", "s a sample", "times ours", "validation AUC"]
    return tabulate(body, head, tablefmt="github", disable_numparse=True)


def main() -> None:
    parser = command(__doc__)
    parser.add_argument("--train_samples", type=int, default=256)
    parser.add_argument("--valid_samples", type=int, default=500)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--backbone", default="smollm2-135m")
    given = begin(parser)
    if given.small:
        given.train_samples, given.valid_samples, given.repetitions = 16, 8, 1
    options = {
        "protocol": "tallrec",
        "backbone": given.backbone,
        "train_samples": given.train_samples,
        "valid_samples": given.valid_samples,
        "epochs": given.epochs,
        "show_progress": False,
    }
    record = measure(options, given.repetitions)
    keep(given, options | record)
    print(table(record))


if __name__ == "__main__":
    main()
