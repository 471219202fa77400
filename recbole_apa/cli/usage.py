"""What ``--help`` prints, with the name that the program was called by."""

import sys
import textwrap
from pathlib import Path

from recbole_apa.evidence.exactness import DEFINITIONS, INHERITED

_INDENT = " " * 26


def _levels() -> str:
    """The levels of exactness, as the certificate defines them."""
    texts = {f"--exactness={level}": text for level, text in DEFINITIONS.items()}
    texts[f"--exactness={INHERITED}"] += " (the paper; default)"
    lines = [f"  {name:<24}" + textwrap.fill(text, 92, subsequent_indent=_INDENT) for name, text in texts.items()]
    return "\n".join(lines)


_USAGE = """usage: @PROGRAM@ --model=APA --dataset=ml-100k [--OPTION=VALUE ...]

  --model=NAME            APA, or any RecBole model
  --dataset=NAME          a RecBole dataset (ml-100k ships with RecBole); --data_path=DIR says where others are
  --config_files="A B"    YAML files of options
  --run_dir=DIR           where the run goes (default: saved/APA-<dataset>-<time>), also a URL such as s3://bucket/run;
                          an interrupted run there is finished
  --run=DIR               load a finished run and evaluate it again; --copy_to=DIR copies it instead
  --plugins=my_module     first import a module that registers something of its own: docs/extending.md
  --export_samples=DIR    write what the model will see as JSON lines
  --log_dir=DIR           where RecBole's log/ and log_tensorboard/ go (default: the working folder); if they cannot be
                          made, one line says so and the work continues
  --protocol=tallrec      the paper's split and draws

Forgetting, as a stage of a new run or on a finished one (--run=DIR):
  --unlearn=FILE          a request: .csv, .jsonl or .inter with user_id, item_id or both in each line
  --unlearn_columns="{user_id: uid, item_id: iid, ignore: [tag]}"   if the file's columns have other names
  --unlearn_ids="{item_id: items.csv}"   if its ids are not the dataset's: CSV files of its id and the dataset's
  --forget_users=12,57    whole users; --forget_items=50,181 whole items; --forget_interactions=12:50,57:181
@LEVELS@
  --unlearn_method=NPO    move the affected adapters instead of training them again (approximate, certified as such)
  --other_machine=retrain if the run comes from another kind of processor or torch: train all shards again here;
                          accept: a certificate that does not promise equal bits (default: refuse)
  --dry_run               show what a request affects and costs; change nothing
  --skip_unknown          forget what can be found, list the rest
  --resume                finish requests that were interrupted; --allow_pending evaluates the old state meanwhile
  --audit, --verify       prove a finished run, quickly or by training again from scratch: status 0 holds, 1 does not

  --key_file=FILE         the secret that forgotten names are hashed with, outside every run; also RECBOLE_APA_KEY_FILE
                          (default: recbole-apa/keys.json among your settings). Keep a copy: without it a run that has
                          forgotten something does not open
  --rotate_key            add a new key to it; --run=DIR --key_digests keys digests that an older version only salted

Comparing, on the same training, validation and test rows:
  --compare=NAMES         Retraining, SISA, RecEraser, GraphEraser, any RecBole model, APA:option=value, ...
                          or the groups paper, recbole, rules, ablations, all
  --experiment=table1     a comparison kept in properties/experiments/ (table1, partition, weights, ...), or a file
  --seeds=3               how many seeds; --compare_dir=DIR where rows, tables and report go (finished rows are kept)
  --slices                tables of cold and warm users, short and long histories, rare and popular items
  --baseline_options="{LightGCN: {epochs: 20}}"   RecBole options by model

Comparing how methods forget, exact and approximate, each against retraining:
  --compare=GradDiff,NPO,E2URec,APA(D) with one of
  --forget_users_ratio=0.05, --forget_ratio=0.05 (interactions), --forget_items=50, --forget_items_with=class=Horror
  --forget_n_users=1, --forget_n_interactions=20     this many; --forget_one_by_one=True: a request for each
  --forget_who=core       which users: random, core (most active), edge (least active)

How many shards? What a stream of requests costs, from step times of a run (--run=DIR) or of a small one made now:
  --plan --requests_per_day=500 --n_samples=10_000_000 [--shard_size="[256, 1024]"] [--samples_per_request=11]
  [--workers=8] [--interval_minutes=60] [--plan_dir=DIR]

Which options? A search judged by the validation samples alone (see tune --help):
  tune --model=APA --dataset=ml-100k [--ranges=FILE] [--algo=bayes] [--max_evals=10] [--tune_dir=DIR]

Every option of properties/model/APA.yaml and of RecBole can be given as --OPTION=VALUE: --help=options lists APA's,
--help=NAME explains one.
"""
_TUNE_USAGE = """usage: @PROGRAM@ tune --model=APA --dataset=ml-100k [--OPTION=VALUE ...]

Tries options, trains with each on the same data and seed, and chooses by the validation samples alone.

  --ranges=FILE           what is tried: YAML such as `learning_rate: {log_between: [0.0005, 0.01]}`, or a file of
                          RecBole's run_hyper.py; APA's default is properties/tuning/APA.yaml
  --algo=bayes            bayes, random (both need hyperopt: pip install ".[tune]"), or exhaustive: every point
  --max_evals=10          how many trials; --early_stop=5 ends after that many in a row without a better one
  --tune_dir=DIR          where trials.json and best.yaml go (default: saved/tune-<model>-<dataset>-<time>)
  --model, --dataset, --config_files, --OPTION=VALUE      what all trials share

Then: @PROGRAM@ --model=APA --dataset=ml-100k --config_files=DIR/best.yaml
"""


def usage(called: str) -> str:
    """The stages and their options.

    Args:
        called: the program's name.
    """
    return _USAGE.replace("@LEVELS@", _levels()).replace("@PROGRAM@", called)


def tune_usage(called: str) -> str:
    """As :func:`usage`, of ``tune``."""
    return _TUNE_USAGE.replace("@PROGRAM@", called)


def program() -> str:
    """How this program was called: as the installed command, the module, or a checkout's script."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py" and called.parent.name == "recbole_apa":
        return "python -m recbole_apa"
    return f"python {called.name}" if called.name == "run_recbole_apa.py" else "recbole-apa"
