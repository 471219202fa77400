"""The files of docs/extending.md."""

import re

from tests.helpers.places import ROOT

PAGE = ROOT / "docs" / "extending.md"


def files_of(page):
    """File name -> text, of the page's Python blocks that begin with the name of a file."""
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)
    named = (re.match(r"# (my_\w+)\.py\n", block) for block in blocks)
    return {name.group(1): block for name, block in zip(named, blocks, strict=True) if name}
