"""One pass over a file's bytes: what must be known before the fast reader's result is trusted."""

import codecs
from dataclasses import dataclass

import numpy as np

BOM = b"\xef\xbb\xbf"
_CHUNK = 1 << 22
_BLANKS = (b" ", b"\t", b"\x0b", b"\x0c")


@dataclass
class Scan:
    """What the scan of a file found."""

    has_quotes: bool = False
    has_nuls: bool = False
    has_lone_returns: bool = False
    """There are carriage returns without a line feed after them."""
    has_blanks_at_edges: bool = False
    """There are blanks next to a separator, a line end or the end of the file."""
    has_empty_lines: bool = False
    is_utf8: bool = True


def scan(data: memoryview, separator: bytes) -> Scan:
    """Look for things that are rare in atomic files."""
    out = Scan()
    edges = {blank: _edges(blank, separator) for blank in _BLANKS if blank != separator}
    decoder = codecs.getincrementaldecoder("utf-8")()
    returns = pairs = 0
    for start in range(0, len(data), _CHUNK):
        # up to three bytes of the next chunk, so that no pair is cut
        chunk = bytes(data[start : start + _CHUNK + 3])
        own = chunk[:_CHUNK]
        out.has_quotes = out.has_quotes or b'"' in own
        out.has_nuls = out.has_nuls or b"\0" in own
        # most files have no carriage returns or blanks, which is quick to check
        if b"\r" in own:
            returns += own.count(b"\r")
            pairs += own.count(b"\r\n") + (own.endswith(b"\r") and chunk[_CHUNK : _CHUNK + 1] == b"\n")
            out.has_empty_lines = out.has_empty_lines or b"\n\r\n" in chunk
        found = (pair for blank in edges if blank in chunk for pair in edges[blank])
        out.has_blanks_at_edges = out.has_blanks_at_edges or any(pair in chunk for pair in found)
        out.has_empty_lines = out.has_empty_lines or _has_doubled(chunk, b"\n")
        out.is_utf8 = out.is_utf8 and _goes_on(decoder, own, len(data) <= start + _CHUNK)
    out.has_blanks_at_edges = out.has_blanks_at_edges or bytes(data[-1:]) in edges
    out.has_lone_returns = returns != pairs
    return out


def _has_doubled(chunk: bytes, mark: bytes) -> bool:
    """Whether a byte occurs twice in a row; faster than a search if the byte is frequent."""
    is_mark = np.frombuffer(chunk, dtype=np.uint8) == mark[0]
    return bool((is_mark[1:] & is_mark[:-1]).any())


def _goes_on(decoder: codecs.IncrementalDecoder, chunk: bytes, last: bool) -> bool:
    """Whether a chunk is valid in the decoder's encoding."""
    if chunk.isascii() and not decoder.getstate()[0]:
        return True
    try:
        decoder.decode(chunk, last)
    except UnicodeDecodeError:
        return False
    return True


def _edges(blank: bytes, separator: bytes) -> list[bytes]:
    return [blank + separator, separator + blank, blank + b"\n", blank + b"\r", b"\n" + blank]


def row_lines(data: memoryview) -> np.ndarray:
    """Physical line numbers, from 1, of all lines that are not empty, except the header."""
    ends = np.concatenate(
        [
            np.flatnonzero(np.frombuffer(data[start : start + _CHUNK], dtype=np.uint8) == 10) + start
            for start in range(0, len(data), _CHUNK)
        ]
        + [np.array([len(data)])]
    )
    starts = np.concatenate(([0], ends[:-1] + 1))
    filled = ends > starts
    only_return = np.flatnonzero(filled & (ends - starts == 1))
    filled[only_return[[bytes(data[starts[i] : ends[i]]) == b"\r" for i in only_return]]] = False
    return np.flatnonzero(filled)[1:] + 1
