"""Which bytes of a file are of one kind: keys, values and punctuation of JSON, and of a safetensors file's header."""

import json
import re
from collections.abc import Iterator

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|true|false|null|[{}\[\],:]|\s+')


def classes_of(name: str, data: bytes) -> dict[str, list[int]]:
    """Class -> positions of its bytes, in order.

    Args:
        name: the file's; its ending says what it is.
    """
    found: dict[str, list[int]] = {}
    if data:
        found = {"first": [0], "last": [len(data) - 1], "middle": [len(data) // 2]}
    if name.endswith((".json", ".jsonl")):
        for kind, at in _json(data, 0):
            found.setdefault(kind, []).append(at)
    elif name.endswith(".safetensors") and len(data) > 8:
        length = int.from_bytes(data[:8], "little")
        found |= {f"length byte {n}": [n] for n in range(8)}
        for kind, at in _json(data[8 : 8 + length], 8):
            found.setdefault(f"header {kind}", []).append(at)
        found |= _tensors(data, length)
    elif name.endswith(".html"):
        found["text"] = [m.start() for m in re.finditer(rb"(?<=>)[A-Za-z]", data)][:200]
        found["tag"] = [m.start() + 1 for m in re.finditer(rb"<[a-z]", data)][:200]
    return found


def _json(data: bytes, start: int) -> Iterator[tuple[str, int]]:
    """Class and position of one byte in each token."""
    tokens = list(_TOKEN.finditer(data))
    for place, match in enumerate(tokens):
        text, at = match.group(), start + match.start()
        if text[:1] == b'"':
            after = next((t.group() for t in tokens[place + 1 : place + 3] if not t.group().isspace()), b"")
            kind = "key" if after == b":" else "text"
            yield kind, at + len(text) // 2
            yield "quotation mark", at
        elif text.isspace():
            yield ("line end" if b"\n" in text else "blank"), at
        elif text in b"{}[],:":
            yield f"punctuation {text.decode()}", at
        else:
            yield ("number" if text[:1] in b"-0123456789" else "word"), at + len(text) - 1


def _tensors(data: bytes, length: int) -> dict[str, list[int]]:
    """First and last byte of each tensor."""
    header = json.loads(data[8 : 8 + length])
    spans = [entry["data_offsets"] for name, entry in header.items() if name != "__metadata__"]
    full = [(8 + length + begin, 8 + length + end - 1) for begin, end in spans if end > begin]
    return {"tensor, first byte": [b for b, _ in full], "tensor, last byte": [e for _, e in full]} if full else {}
