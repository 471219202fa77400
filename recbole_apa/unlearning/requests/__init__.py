"""Requests to forget: read from files, options or calls, and looked up in the data."""

from recbole_apa.unlearning.requests.demands import Demand, named_demands
from recbole_apa.unlearning.requests.files import read_demands
from recbole_apa.unlearning.requests.ids import map_ids
from recbole_apa.unlearning.requests.lookup import Found, find

__all__ = ["Demand", "Found", "find", "map_ids", "named_demands", "read_demands"]
