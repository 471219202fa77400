from .change import Change as Change
from .change import rewrite as rewrite
from .facts import About as About
from .read import Index as Index
from .rows import IndexRows as IndexRows
from .write import write_index as write_index
