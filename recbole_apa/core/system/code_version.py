"""Which version of this package runs."""

from logging import getLogger


def code_version() -> str:
    """The installed version of this package."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("recbole-apa")
    except PackageNotFoundError:
        getLogger().debug("recbole-apa runs from a checkout without being installed")
        return "checkout"
