"""Files that RecBole would unpickle: a pickle runs whatever code its writer put there, so none is read."""

import glob
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_apa.core.errors import SettingsError

if TYPE_CHECKING:
    from recbole.config import Config


def refuse_pickles(config: "Config") -> None:
    """Reject saved datasets and loaders that RecBole's ``create_dataset`` and ``data_preparation`` would read.

    Raises:
        SettingsError: such a file exists, or is named by an option.
    """
    folder, dataset = Path(config["checkpoint_dir"]), glob.escape(config["dataset"])
    named = [Path(config[option]) for option in ("dataset_save_path", "dataloaders_save_path") if config[option]]
    saved = [*folder.glob(f"{dataset}-*Dataset.pth"), *folder.glob(f"{dataset}-for-*-dataloader.pth")]
    for path in [*named, *sorted(saved)]:
        raise SettingsError(
            f"{path} would be unpickled by RecBole, which runs the code of whoever wrote it; move it away, or choose "
            "another checkpoint_dir"
        )
