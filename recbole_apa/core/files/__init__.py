"""Atomic writing of files, and careful reading of files from untrusted sources."""

from recbole_apa.core.files.line_endings import keep_bytes
from recbole_apa.core.files.permissions import as_usual
from recbole_apa.core.files.plain import parse_json, read_plain
from recbole_apa.core.files.tensors import Expected, parse_tensors
from recbole_apa.core.files.whole import file_digest, read_json, write_bytes, write_json, write_text, write_whole

__all__ = [
    "Expected",
    "as_usual",
    "file_digest",
    "keep_bytes",
    "parse_json",
    "parse_tensors",
    "read_json",
    "read_plain",
    "write_bytes",
    "write_json",
    "write_text",
    "write_whole",
]
