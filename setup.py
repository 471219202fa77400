"""Which packages there are; all else stands in setup.cfg. ``properties/`` is installed inside of the package."""

from setuptools import find_namespace_packages, find_packages, setup

setup(
    packages=[
        *find_packages(include=["recbole_apa", "recbole_apa.*"]),
        "recbole_apa.properties",
        *(f"recbole_apa.properties.{name}" for name in find_namespace_packages("properties")),
    ],
)
