"""Find ``properties/``: next to the package in a checkout or editable install, inside it otherwise."""

from pathlib import Path

from recbole_apa.core.errors import SettingsError


def properties_folder() -> Path:
    """
    Raises:
        SettingsError: it is in neither place.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "properties", package.parent / "properties"):
        if (folder / "model" / "APA.yaml").is_file():
            return folder
    raise SettingsError(f"found no properties/ next to or inside {package}; reinstall recbole-apa")
