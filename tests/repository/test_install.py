"""properties/ is found in all three ways of installing, from any folder."""

import os
import subprocess
import sys
import sysconfig

import pytest

from tests.helpers.places import ROOT

LIST_YAML = (
    "import recbole_apa.core.properties as p; f = p.properties_folder(); print(f); print(len(list(f.rglob('*.yaml'))))"
)


def output_of(*command, cwd, **environment):
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | environment
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip().splitlines()


def n_yaml():
    return len(list((ROOT / "properties").rglob("*.yaml")))


def test_in_a_bare_checkout(tmp_path):
    found = output_of(sys.executable, "-c", LIST_YAML, cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert found[-1] == str(n_yaml())


@pytest.fixture
def venv(tmp_path):
    """A virtual environment of its own that borrows this one's libraries."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    site = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    # after the environment's own packages, so that what is installed there comes first
    (site / "zz_borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return tmp_path / "venv" / "bin"


@pytest.mark.slow
@pytest.mark.parametrize("way", ["wheel", "editable"])
def test_installed(way, venv, tmp_path):
    install = [venv / "python", "-m", "pip", "install", "--no-deps", "-q"]
    if way == "wheel":
        source = tmp_path / "source"
        subprocess.run(["git", "clone", "-q", ROOT, source], check=True)
        build = [
            venv / "python",
            "-m",
            "pip",
            "wheel",
            "--no-deps",
            "-q",
            "-w",
            tmp_path / "dist",
        ]
        output_of(*build, source, cwd=tmp_path)
        output_of(*install, "--force-reinstall", next((tmp_path / "dist").glob("*.whl")), cwd=tmp_path)
    else:
        output_of(*install, "-e", ROOT, cwd=tmp_path)
    folder, count = output_of(venv / "python", "-c", LIST_YAML, cwd=tmp_path)[-2:]
    assert count == str(n_yaml())
    assert (str(venv.parent) in folder) == (way == "wheel")
    assert "--run_dir" in "\n".join(output_of(venv / "recbole-apa", "--help", cwd=tmp_path))


def test_readme_names_the_commands_that_ci_runs():
    readme = (ROOT / "README.md").read_text()
    assert 'pip install ".[test]" && python -m pytest' in readme
    assert "python run_recbole_apa.py --model=APA --dataset=ml-100k" in readme
    assert "readme_command tests" in (ROOT / ".ci" / "run").read_text()
