"""The fast way to read a file: pyarrow's CSV reader, under the rules of :mod:`~recbole_apa.data.reader.plain`.

pyarrow accepts more than we do (``nan``, ``inf``, blanks around numbers), so what it accepts is checked again here.
Whatever it rejects is read again by the slow reader, which reports what is wrong and where.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from recbole_apa.data.reader.header import Field
from recbole_apa.data.reader.table import RECBOLE_MISSING, Rule
from recbole_apa.data.tokens import Tokens

_BLOCK = 1 << 23
_BLANK_AT_EDGE = r"^[ \t\x0b\x0c]|[ \t\x0b\x0c]$"


def read_fast(
    data: pa.Buffer, header: Sequence[Field], rules: Mapping[str, Rule], separator: str, blanks_at_edges: bool
) -> dict[str, Tokens | np.ndarray] | None:
    """Columns by name; None if something is, or may be, wrong.

    Args:
        data: the file in UTF-8, including the header.
        blanks_at_edges: whether any cell begins or ends with a blank.
    """
    strict = {name: rule for name, rule in rules.items() if rule is not Rule.RECBOLE_NUMBER}
    features = {name: rule for name, rule in rules.items() if rule is Rule.RECBOLE_NUMBER}
    try:
        out = _read(data, header, strict, separator, [""]) if strict else {}
        if features:
            out |= _read(data, header, features, separator, sorted(RECBOLE_MISSING))
        numbers = [name for name, rule in strict.items() if rule is Rule.NUMBER]
        if blanks_at_edges and numbers and _has_blanks(data, header, numbers, separator):
            return None
    except pa.ArrowInvalid:
        return None
    columns = {name: _column(out.pop(name), rules[name]) for name in [f.name for f in header if f.name in rules]}
    pa.default_memory_pool().release_unused()  # what Arrow keeps for itself is as large as the columns
    return None if any(column is None for column in columns.values()) else columns  # type: ignore[return-value]


def _read(
    data: pa.Buffer, header: Sequence[Field], rules: Mapping[str, Rule], separator: str, missing: list[str]
) -> dict[str, pa.ChunkedArray]:
    texts = pa.dictionary(pa.int32(), pa.string())
    kinds = {name: pa.float64() if rule.is_number else texts for name, rule in rules.items()}
    table = _open(data, header, kinds, separator, missing)
    return {name: table.column(name) for name in rules}


def _open(
    data: pa.Buffer, header: Sequence[Field], kinds: Mapping[str, pa.DataType], separator: str, missing: list[str]
) -> pa.Table:
    return csv.read_csv(
        pa.BufferReader(data),
        # one thread: Arrow must not leave a thread pool in a process that forks workers
        read_options=csv.ReadOptions(
            column_names=[f.name for f in header], skip_rows=1, block_size=_BLOCK, use_threads=False
        ),
        parse_options=csv.ParseOptions(
            delimiter=separator,
            quote_char=False,
            double_quote=False,
            escape_char=False,
            newlines_in_values=False,
            ignore_empty_lines=True,
        ),
        convert_options=csv.ConvertOptions(
            column_types=dict(kinds), include_columns=list(kinds), null_values=missing, strings_can_be_null=False
        ),
    )


def _has_blanks(data: pa.Buffer, header: Sequence[Field], names: Sequence[str], separator: str) -> bool:
    """Whether a cell of these columns begins or ends with a blank."""
    table = _open(data, header, dict.fromkeys(names, pa.string()), separator, [])
    return any(pc.any(pc.match_substring_regex(table.column(name), _BLANK_AT_EDGE)).as_py() for name in names)


def _column(found: pa.ChunkedArray, rule: Rule) -> Tokens | np.ndarray | None:
    """One column as numpy; None if a number needs the slow reader."""
    if not rule.is_number:
        whole = found.unify_dictionaries().combine_chunks()
        if isinstance(whole, pa.ChunkedArray):  # with no chunks, or several
            if not whole.num_chunks:
                return Tokens(np.zeros(0, dtype=np.int32), [])
            whole = pa.concat_arrays(whole.chunks)
        codes = _values(whole.indices, np.int32) if len(whole) else np.zeros(0, dtype=np.int32)
        return Tokens(codes, whole.dictionary.to_pylist())
    if not _all_as_said(found, rule):
        return None
    return np.concatenate([np.zeros(0), *(_values(chunk, np.float64) for chunk in found.chunks if len(chunk))])


def _values(array: pa.Array, kind: type) -> np.ndarray:
    """The numbers of an array, NaN for missing ones; ``to_numpy`` would load pandas."""
    where = slice(array.offset, array.offset + len(array))
    out: np.ndarray = np.frombuffer(array.buffers()[1], dtype=kind)[where]
    if array.null_count:
        there = np.unpackbits(np.frombuffer(array.buffers()[0], dtype=np.uint8), bitorder="little")[where]
        out = np.where(there == 1, out, np.nan)
    return out


def _all_as_said(found: pa.ChunkedArray, rule: Rule) -> bool:
    """Whether every number present is finite, or at least not NaN, as the rule demands; missing ones are null."""
    there = found.drop_null()
    wrong = pc.invert(pc.is_finite(there)) if rule is Rule.NUMBER else pc.is_nan(there)
    return not pc.any(wrong).as_py()
