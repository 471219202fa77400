"""The words that an audit looks at in the files of a run."""

import re
import time

from hypothesis import given
from hypothesis import strategies as st

from recbole_apa.unlearning.proof.traces import _words

AS_ONE_PATTERN = re.compile(r"[^\s\"'<>,;()\[\]{}]+:[^\s\"'<>,;()\[\]{}]+")


@given(st.text(st.sampled_from("ab:#% \n\"'<,;([{}\0é"), max_size=40))
def test_words_that_could_name_an_interaction_have_a_colon_inside(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("words") / "any.txt"
    path.write_bytes(text.encode())
    assert list(_words(path)) == AS_ONE_PATTERN.findall(text)


def test_a_table_of_zeros_is_looked_through_once(tmp_path):
    """64 kB took the pattern seconds, and twice as many four times as long."""
    path = tmp_path / "sums.safetensors"
    path.write_bytes(bytes(1 << 22) + b" u1:i1:7 ")
    start = time.process_time()
    assert list(_words(path)) == ["u1:i1:7"]
    assert time.process_time() - start < 5
