"""Small runs and requests, by the versions that are installed: prints digests of everything whose bits matter.

``python -m tests.stack_digests > FILE`` on two Pythons of one machine, then ``diff``; CI does so. Digests change with
the kind of processor. On standard error: the versions.
"""

import hashlib
import json
import os
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

TELLING = ("embeddings", "memory", "partition", "adapter_model", "states")
CASES: dict[str, dict[str, object]] = {
    "trained": {"keep_states": True},
    "ia3": {"adapter_type": "ia3", "target_modules": ["k_proj", "v_proj", "down_proj"]},
    "fused": {"fused_shards": 2},
    "workers": {"workers": 2},
}
"""Name -> options of a run."""
LIBRARIES = ("numpy", "pandas", "pyarrow", "recbole", "scipy", "torch", "transformers", "peft", "tokenizers")


def digests(folder: Path) -> dict[str, str]:
    """File -> SHA-256 of its bytes; figures by themselves, without what was timed, to nine places: numpy's versions
    round the regression of evidence differently after these."""
    found = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name.startswith(TELLING)
    }
    figures = json.loads((folder / "metrics.json").read_text())
    return found | {name: repr(round(value, 9) + 0.0) for name, value in figures.items() if "seconds" not in name}


def main() -> dict[str, dict[str, str]]:
    """Digests of each run as it was trained, and of the first after a user was forgotten, in two ways."""
    import recbole_apa
    from benchmarks.board import board_options, write_board
    from tests.helpers.backbone import write_backbone

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        os.environ["RECBOLE_APA_KEY_FILE"] = str(folder / "keys.json")
        for part in ("backbone", "data"):
            (folder / part).mkdir()
        write_board(folder / "data" / "board", timestamps=True)
        options = board_options(folder / "data", write_backbone(folder / "backbone"))
        out = {
            "backbone": {"weights": hashlib.sha256((folder / "backbone/model.safetensors").read_bytes()).hexdigest()}
        }
        for name, changes in CASES.items():
            recbole_apa.run("APA", "board", config_dict={**options, **changes}, run_dir=folder / name)
            out[name] = digests(folder / name)
        for exactness in ("inherited", "strict"):
            recbole_apa.copy_run(folder / "trained", folder / exactness)
            recbole_apa.unlearn(folder / exactness, users=["u3"], exactness=exactness)
            out[exactness] = digests(folder / exactness)
        return out


if __name__ == "__main__":
    sys.argv = sys.argv[:1]
    print(f"Python {sys.version.split()[0]}, " + ", ".join(f"{n} {version(n)}" for n in LIBRARIES), file=sys.stderr)
    shown = sys.stdout
    sys.stdout = sys.stderr
    print(json.dumps(main(), indent=1, sort_keys=True), file=shown)
