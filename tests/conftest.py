"""Fixtures: a tiny random Llama with a tokenizer of its own, and a small dataset whose likes follow a rule."""

import multiprocessing
import os
import shutil
import time
from pathlib import Path

import pytest

import recbole_apa  # noqa: F401  before torch: how its threads wait is read when it is loaded
from benchmarks.board import board_options, write_board
from tests.helpers.backbone import write_backbone
from tests.helpers.inside import inside

# set before any test imports tokenizers
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """CI has an hour: tests that would begin after ``TESTS_END_AT`` (seconds since 1970) are skipped, and named."""
    end = os.environ.get("TESTS_END_AT")
    if end and time.time() > float(end):
        pytest.skip("no time is left (TESTS_END_AT)")


class SaidAtOnce:
    """CI may be stopped before pytest's summary: what failed is written when its report arrives."""

    def __init__(self, terminal) -> None:
        self.terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Of a failure its name and the end of its text."""
        if report.failed:
            self.terminal.write_line(f"\n{report.nodeid} failed in {report.when}\n{report.longreprtext[-4000:]}")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """In CI alone, and in the process that gathers the reports."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal and "TESTS_END_AT" in os.environ and "PYTEST_XDIST_WORKER" not in os.environ:
        config.pluginmanager.register(SaidAtOnce(terminal))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """``quick("id", ...)`` or ``quick(n)``: of a parametrised test the default suite runs these parameters, or n of
    them, evenly spread; the others are marked ``slow``."""
    tests: dict[tuple[Path, str], list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("quick"):
            tests.setdefault((item.path, item.originalname), []).append(item)
    for (path, name), cases in tests.items():
        wanted = cases[0].get_closest_marker("quick").args
        if isinstance(wanted[0], int):
            kept = {round(i * (len(cases) - 1) / max(wanted[0] - 1, 1)) for i in range(wanted[0])}
        else:
            kept = {i for i, case in enumerate(cases) if case.callspec.id in wanted}
            # a test that is asked for by name may be here with some of its parameters only
            if len(kept) < len(wanted) and not any("::" in asked for asked in config.args):
                raise pytest.UsageError(f"{path}: {name}: found no parameters {wanted}")
        for i, case in enumerate(cases):
            if i not in kept:
                case.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def backbone_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Llama, see :func:`write_backbone`."""
    return write_backbone(tmp_path_factory.mktemp("backbone"))


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``board/``: 12 users who rated 16 of 20 items; user u likes item i iff u + i is even (a checkerboard)."""
    folder = tmp_path_factory.mktemp("data")
    write_board(folder / "board", timestamps=True)
    write_board(folder / "timeless", timestamps=False)
    return folder


@pytest.fixture(scope="session")
def options(backbone_folder: Path, data_folder: Path) -> dict:
    """Options of a run that takes a few seconds."""
    return board_options(data_folder, backbone_folder)


@pytest.fixture(scope="session")
def work_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RecBole writes ``log`` and ``log_tensorboard`` where it is started: here."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(autouse=True, scope="session")
def _key_file(tmp_path_factory: pytest.TempPathFactory):
    """Nobody's own key file is read or written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECBOLE_APA_KEY_FILE", str(tmp_path_factory.mktemp("keys") / "keys.json"))
        yield


@pytest.fixture(autouse=True)
def _in_work_folder(work_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(work_folder)


@pytest.fixture(scope="session")
def uncounted(options: dict, work_folder: Path):
    """A finished run without collaborative statistics: tests may make an index by hand that no sums belong to."""
    from recbole_apa import run

    with inside(work_folder):
        return run("APA", "board", config_dict={**options, "evidence": "none"}, run_dir=work_folder / "uncounted")


@pytest.fixture(scope="session")
def uncounted_served(uncounted, work_folder: Path) -> Path:
    """The same run after it forgot u3."""
    from recbole_apa import unlearn

    folder = Path(shutil.copytree(uncounted.run_dir, work_folder / "uncounted_served"))
    with inside(work_folder):
        unlearn(folder, users=["u3"])
    return folder


@pytest.fixture(scope="session")
def finished(options: dict, work_folder: Path):
    """One finished run, shared by the tests that only read it."""
    from recbole_apa import run

    with inside(work_folder):
        return run("APA", "board", config_dict=options, run_dir=work_folder / "finished")


@pytest.fixture(scope="session")
def served(finished, tmp_path_factory: pytest.TempPathFactory, work_folder: Path) -> Path:
    """The folder of a run that forgot user u3; shared by tests that only read it, or copy it."""
    from recbole_apa import audit, unlearn

    folder = Path(shutil.copytree(finished.run_dir, tmp_path_factory.mktemp("served") / "run"))
    with inside(work_folder):
        unlearn(folder, users=["u3"])
    assert audit(folder).findings == []
    return folder


@pytest.fixture(scope="session")
def server():
    """Starts processes in a fraction of a second."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.helpers.killed_process", "tests.helpers.preloaded"])
    return context
