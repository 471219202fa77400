"""Find ``properties/``: beside the package in a checkout or editable install, inside it when installed."""

from pathlib import Path

from recbole_apa.core.errors import SettingsError


def properties_folder() -> Path:
    """
    Raises:
        SettingsError: neither place has it.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "properties", package.parent / "properties"):
        if (folder / "model" / "APA.yaml").is_file():
            return folder
    raise SettingsError(f"no properties/ beside or inside {package}; reinstall recbole-apa")
