"""A check before every certificate, and in audit and verification: can any forgotten row still be reached?

It reads the raw files, or a run's index, itself, finds the requested rows itself, by name or by keyed digest, and looks
for them in the data, the samples, the state and the exports. It imports none of the code that reads, hides, splits or
looks up rows, so that a fault there cannot certify itself.
"""

from recbole_apa.evidence.search.raw_files import RawFiles, scan
from recbole_apa.evidence.search.raw_index import scan_index, scan_names
from recbole_apa.evidence.search.raw_rows import RawRows
from recbole_apa.evidence.search.raw_tallies import RawTallies, scan_tallies
from recbole_apa.evidence.search.reach import in_data, in_exports, in_index, in_state, n_rows
from recbole_apa.evidence.search.sought import Name, Sought, count, named, recognised

__all__ = [
    "Name",
    "RawFiles",
    "RawRows",
    "RawTallies",
    "Sought",
    "count",
    "in_data",
    "in_exports",
    "in_index",
    "in_state",
    "n_rows",
    "named",
    "recognised",
    "scan",
    "scan_index",
    "scan_names",
    "scan_tallies",
]
