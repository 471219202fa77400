"""A small run and a request, by the versions that are installed: prints digests of everything whose bits matter.

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

TELLING = ("embeddings", "memory", "partition", "adapter_model")
LIBRARIES = ("numpy", "pandas", "pyarrow", "recbole", "scipy", "torch", "transformers", "peft", "tokenizers")


def digests(folder: Path) -> dict[str, str]:
    """File -> SHA-256 of its bytes; figures by themselves, without what was timed."""
    found = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name.startswith(TELLING)
    }
    figures = json.loads((folder / "metrics.json").read_text())
    return found | {name: repr(value) for name, value in figures.items() if "seconds" not in name}


def main() -> dict[str, dict[str, str]]:
    """Digests of a run as it was trained, and after a user was forgotten."""
    import recbole_apa
    from benchmarks.board import board_options, write_board
    from tests.conftest import write_backbone

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        os.environ["RECBOLE_APA_KEY_FILE"] = str(folder / "keys.json")
        for part in ("backbone", "data"):
            (folder / part).mkdir()
        write_board(folder / "data" / "board", timestamps=True)
        options = board_options(folder / "data", write_backbone(folder / "backbone"))
        run = folder / "run"
        recbole_apa.run("APA", "board", config_dict=options, run_dir=run)
        out = {"trained": digests(run)}
        out["backbone"] = {"weights": hashlib.sha256((folder / "backbone/model.safetensors").read_bytes()).hexdigest()}
        recbole_apa.unlearn(run, users=["u3"])
        return out | {"forgotten": digests(run)}


if __name__ == "__main__":
    sys.argv = sys.argv[:1]
    print(f"Python {sys.version.split()[0]}, " + ", ".join(f"{n} {version(n)}" for n in LIBRARIES), file=sys.stderr)
    shown = sys.stdout
    sys.stdout = sys.stderr
    print(json.dumps(main(), indent=1, sort_keys=True), file=shown)
