"""RecBole's ``create_dataset``, with errors that say what to do, and without a pickle."""

from logging import getLogger
from pathlib import Path

from recbole.config import Config
from recbole.data.dataset import Dataset

from recbole_apa.core.errors import APAError, DataError
from recbole_apa.core.system.surroundings import refuse_name
from recbole_apa.data.dataset import APADataset
from recbole_apa.data.index.rows import IndexedRows
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.pipeline.pickles import refuse_pickles


def make_dataset(
    config: Config, visible_data: VisibleData | None = None, indexed: IndexedRows | None = None
) -> Dataset:
    """The dataset that a configuration names.

    Args:
        visible_data: what a finished run may see of its files; None for all of them.
        indexed: the rows of the run's index, instead of those of its files.

    Raises:
        DataError: the files are missing, cannot be downloaded, or lack a column.
        SettingsError: a folder's name is not valid in this environment's encoding.
    """
    from recbole.data import create_dataset

    refuse_pickles(config)
    folder, name = Path(config["data_path"]), config["dataset"]
    downloading = not folder.is_dir()
    if visible_data is not None or not downloading:
        refuse_missing_files(config)
    else:
        refuse_name(folder)
        getLogger().info(f"{folder} does not exist: RecBole tries to download {name!r}")
    try:
        return create_dataset(config) if visible_data is None else APADataset(config, visible_data, indexed)
    except APAError:
        raise
    except (OSError, NotImplementedError, ValueError, KeyError) as error:
        says = str(error).strip("\"'")
        if downloading:
            raise DataError(
                f"dataset {name!r} is not in {folder} and RecBole could not download it ({says}); put RecBole's atomic "
                "files there, or name the parent folder with --data_path"
            ) from error
        raise DataError(f"dataset {name!r} in {folder}: {says}; check load_col and threshold") from error


def refuse_missing_files(config: Config) -> None:
    """
    Raises:
        DataError: the folder of a configuration's dataset, or its file of interactions, does not exist.
        SettingsError: a folder's name is not valid in this environment's encoding.
    """
    folder, name = Path(config["data_path"]), config["dataset"]
    refuse_name(folder)
    if not folder.is_dir():
        # a run's manifest may come from a stranger, and RecBole would create the folder
        raise DataError(f"the run's dataset {name!r} is not in {folder}; name the parent folder with --data_path")
    if not config["benchmark_filename"] and not (folder / f"{name}.inter").is_file():
        raise DataError(
            f"{folder} has no {name}.inter; expected RecBole's atomic files {name}.inter and {name}.item there "
            "(--data_path names the parent folder)"
        )
