"""A strict reader of RecBole's atomic files (``.inter``, ``.item``, ``.user`` and others).

Columns go out as numpy arrays and encoded texts; what is wrong is refused by file, line, column and value. Knows
neither RecBole nor pandas, nor what a column is for.
"""

from recbole_apa.data.reader.header import Field
from recbole_apa.data.reader.read import FileForm, read_table, strict
from recbole_apa.data.reader.table import RECBOLE_MISSING, Rule, Table, concat

__all__ = ["RECBOLE_MISSING", "Field", "FileForm", "Rule", "Table", "concat", "read_table", "strict"]
