"""Each run has a log of its own, whatever the program has set up, and leaves nothing of it behind."""

import io
import logging
import logging.config
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from recbole_apa import evaluate_run, run, unlearn
from recbole_apa.runs.log import own_log, start_log
from tests.helpers.runs import copy_run

QUICK = {"variants": "chosen", "epochs": 1}
CONFIG = {"model": "APA", "dataset": "board", "state": "INFO"}
HEAD = "APA(D)"


class Notebook(io.StringIO):
    """A notebook's stream: no file, nobody at a terminal."""

    def fileno(self):
        raise io.UnsupportedOperation("fileno")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """To be entered: the root logger as a program finds it, without pytest's own handlers, and what it shows."""
    monkeypatch.chdir(tmp_path)
    logger = logging.getLogger()

    @contextmanager
    def bare():
        handlers, level, stream = list(logger.handlers), logger.level, Notebook()
        logger.handlers[:] = []
        logger.setLevel(logging.WARNING)
        try:
            with monkeypatch.context() as patch:
                patch.setattr(sys, "stderr", stream)
                yield logger, stream
        finally:
            logger.handlers[:] = handlers
            logger.setLevel(level)

    return bare


def logs():
    return {path: path.read_text(encoding="utf-8") for path in sorted(Path("log").rglob("*.log"))}


@pytest.mark.slow
@pytest.mark.parametrize("basic", [None, logging.WARNING, logging.INFO])
def test_the_table_is_returned_and_shown_once_however_logging_was_set_up(basic, options, root, tmp_path):
    with root() as (logger, stream):
        if basic is not None:
            logging.basicConfig(level=basic)
        before, level = list(logger.handlers), logger.level
        first = run("APA", "board", config_dict={**options, **QUICK}, run_dir=tmp_path / "first")
        assert HEAD in first.table and stream.getvalue().count(first.table) == 1
        assert list(logger.handlers) == before and logger.level == level
        assert not any(handler.filters for handler in before)
        ((path, one),) = logs().items()
        assert first.table in one and "\x1b" not in one

        second = evaluate_run(tmp_path / "first", {"variants": "chosen"})
        assert logs()[path] == one  # the second call wrote into a file of its own
        assert len(logs()) == 2 and second.table == first.table and stream.getvalue().count(first.table) == 2
        assert list(logger.handlers) == before


def test_a_program_that_wants_warnings_alone_gets_no_more(root):
    with root() as (logger, stream):
        kept = Notebook()
        logging.basicConfig(stream=kept)
        loud = logging.getLogger("loud")
        loud.setLevel(logging.INFO)
        with own_log():
            start_log(CONFIG, None)
            logging.getLogger("library").info("quiet")
            loud.info("loud")
            logger.info("table")
            logger.warning("beware")
        loud.setLevel(logging.NOTSET)
        assert kept.getvalue().splitlines() == ["INFO:loud:loud", "WARNING:root:beware"]
        assert [line.split()[-1].removesuffix("\x1b[0m") for line in stream.getvalue().splitlines()] == [
            "quiet",
            "loud",
            "table",
            "beware",
        ]


def test_what_the_programs_console_shows_is_not_shown_twice(root):
    with root() as (logger, stream):
        logging.basicConfig()
        with own_log():
            start_log(CONFIG, None)
            logger.info("table")
            logger.warning("beware")
        assert stream.getvalue().count("table") == 1 and stream.getvalue().count("beware") == 1


def test_runs_of_two_threads_in_one_second_keep_to_their_own_files(root, monkeypatch):
    monkeypatch.setattr("recbole_apa.runs.log.get_local_time", lambda: "now")
    both = threading.Barrier(2)

    def work(name):
        with own_log():
            start_log(CONFIG, Path("log"))
            both.wait()
            logging.getLogger().info(name)
            both.wait()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two")]
    with root():
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    assert [path.name for path in logs()] == ["APA-board-now-2.log", "APA-board-now.log"]
    assert sorted(text.split()[-1] for text in logs().values()) == ["one", "two"]
    assert all(len(text.splitlines()) == 1 for text in logs().values())


def test_nothing_stays_after_an_error(root):
    with root() as (logger, _):
        with pytest.raises(KeyboardInterrupt), own_log():
            start_log(CONFIG, Path("log"))
            assert len(logger.handlers) == 2 and logger.level == logging.INFO
            raise KeyboardInterrupt
        assert not logger.handlers and logger.level == logging.WARNING
        start_log(CONFIG, Path("log"))  # outside of a call of ours nothing is added
        assert not logger.handlers and len(logs()) == 1


@pytest.mark.slow
def test_a_request_on_an_open_run_is_logged(options, root, finished, tmp_path):
    copy_run(finished, tmp_path / "run")
    with root():
        opened = evaluate_run(tmp_path / "run", {"variants": "chosen"})
        unlearn(opened, users=["u3"])
    assert len(logs()) == 2 and all(text for text in logs().values())


def test_a_library_that_closes_all_handlers_does_not_end_the_log(root):
    with root() as (logger, _), own_log():
        start_log(CONFIG, Path("log"))
        logger.info("before")
        logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})  # as Ray does when it starts
        logger.info("after")
    assert [line.split()[-1] for line in next(iter(logs().values())).splitlines()] == ["before", "after"]


def test_a_full_disk_gives_one_line(root):
    with root() as (logger, stream):
        with own_log():
            start_log(CONFIG, Path("log"))
            (file,) = [h for h in logger.handlers if isinstance(h, logging.FileHandler)]
            file.stream.close()
            file.stream = _Full()
            for _ in range(12):
                logger.info("line")
        assert stream.getvalue().count("can no longer be written: [Errno 28] No space left on device") == 1
        assert "Traceback" not in stream.getvalue()


class _Full(io.StringIO):
    def write(self, text):
        raise OSError(28, "No space left on device")


def test_colours_and_times_are_recboles():
    """They are written down here, so that a log does not load RecBole."""
    from recbole.utils import get_local_time as recboles
    from recbole.utils.logger import log_colors_config

    from recbole_apa.runs import log

    assert log_colors_config == log.LEVEL_COLOURS
    before, ours, after = recboles(), log.get_local_time(), recboles()
    assert ours in (before, after)
