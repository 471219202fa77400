"""RecBole's log, in a folder of one's choice."""

import logging
from pathlib import Path
from typing import Any

import colorlog
from recbole.utils import get_local_time
from recbole.utils.logger import RemoveColorFilter, log_colors_config


def start_log(config: Any, folder: Path | None) -> None:
    """Log to standard error, and to ``<folder>/<model>/<model>-<dataset>-<time>.log``, as RecBole does.

    Args:
        config: RecBole's, for its level (``state``) and the file's name.
        folder: None writes no file.

    Raises:
        OSError: the file cannot be made.
    """
    level = logging.getLevelName(str(config["state"] or "info").upper())
    shown = logging.StreamHandler()
    look = "%(log_color)s%(asctime)-15s %(levelname)s  %(message)s"
    shown.setFormatter(colorlog.ColoredFormatter(look, "%d %b %H:%M", log_colors=log_colors_config))
    handlers: list[logging.Handler] = [shown]
    if folder is not None:
        (folder / config["model"]).mkdir(parents=True, exist_ok=True)
        name = f"{config['model']}-{config['dataset']}-{get_local_time()}.log"
        kept = logging.FileHandler(folder / config["model"] / name, encoding="utf-8")
        kept.setFormatter(logging.Formatter("%(asctime)-15s %(levelname)s  %(message)s", "%a %d %b %Y %H:%M:%S"))
        kept.addFilter(RemoveColorFilter())
        handlers.append(kept)
    level = level if isinstance(level, int) else logging.INFO
    for handler in handlers:
        handler.setLevel(level)
    logging.basicConfig(level=level, handlers=handlers)
