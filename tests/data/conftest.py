"""Fixtures of the tests of data."""

import pytest

from tests.helpers.field_files import Files


@pytest.fixture
def files(tmp_path):
    """Four users who rated eight items. u0: i0 5 t0; i3 5 t1; i6 2 t2; i1 5 t3; i4 2 t4; i7 5 t5; i2 2 t6; i5 5 t7."""
    return Files(tmp_path / "small")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "d.inter"
