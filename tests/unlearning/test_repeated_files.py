"""Of several request files, which say nothing but what earlier ones say: asked of a run."""

import pytest

from recbole_apa import audit, unlearn
from recbole_apa.core.errors import RequestError
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.store import RunStore

HEAD = "user_id,item_id,timestamp,rating\n"


@pytest.fixture
def asked(copied, tmp_path):
    """Gives requests of these lines, a file each, to a copy of a run; returns the result, or the ledger if refused."""

    def ask(*files, **named):
        paths = [tmp_path / f"{n}.csv" for n in range(1, len(files) + 1)]
        for path, lines in zip(paths, files, strict=True):
            path.write_text(HEAD + "".join(f"{line}\n" for line in lines))
        return unlearn(copied, requests=[str(path) for path in paths], **named)

    return ask


@pytest.mark.slow
@pytest.mark.parametrize(
    "files",
    [
        (["u3,,,"], ["u3,,,"]),
        (["u3,,,", "u5,,,"], ["u5,,,"]),
        (["u3,,,"], ["u3,i2,,"]),
        ([",i2,,"], ["u3,i2,,"]),
        (["u3,i2,,"], ["u3,i2,,", "u3,i2,,"][:1]),
    ],
)
def test_a_file_that_says_nothing_else_is_passed_over(asked, copied, files):
    result = asked(*files)
    (told,) = result.left
    assert told.startswith("2.csv, line 2") and "earlier files of this call name it" in told
    assert len(result.certificates) == len(Ledger(copied, RunStore(copied).salt).requests()) == 1
    assert audit(copied).holds


@pytest.mark.slow
def test_a_line_that_was_left_out_stands_for_no_other(asked, copied):
    """The rating does not fit, so the first file's line is left out; the second one names the same without a rating."""
    result = asked(["u5,,,", "u3,i1,,1"], ["u3,i1,,"], skip_unknown=True)
    assert len(result.left) == 1 and result.left[0].startswith("1.csv, line 3")
    assert len(result.certificates) == 2 and audit(copied).holds
    with pytest.raises(RequestError, match="was forgotten before"):
        unlearn(copied, interactions=[("u3", "i1")])


def test_a_file_that_says_more_is_not_passed_over(asked, copied):
    with pytest.raises(RequestError, match=r"2\.csv, line 2: was forgotten before"):
        asked(["u3,,,"], ["u3,,,", "u7,,,"])
    assert not Ledger(copied, RunStore(copied).salt).entries()
