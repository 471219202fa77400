"""Fixtures of the tests of tuning."""

import pytest


@pytest.fixture
def hyperopt():
    return pytest.importorskip("hyperopt")
