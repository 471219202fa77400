"""A strict reader of RecBole's atomic files (``.inter``, ``.item``, ``.user`` and others).

Returns columns as numpy arrays and encoded texts; errors name file, line, column and value. Independent of RecBole and
pandas, and of what a column is for.
"""

from recbole_apa.data.reader.header import Field
from recbole_apa.data.reader.read import FileForm, read_header, read_table, strict
from recbole_apa.data.reader.table import RECBOLE_MISSING, Rule, Table, concat

__all__ = ["RECBOLE_MISSING", "Field", "FileForm", "Rule", "Table", "concat", "read_header", "read_table", "strict"]
