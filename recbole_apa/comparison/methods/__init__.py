"""The methods of a comparison, each a :class:`~recbole_apa.comparison.method.Method`."""

from recbole_apa.comparison.methods.evidence import EvidenceMethod
from recbole_apa.comparison.methods.recbole import RecBoleMethod
from recbole_apa.comparison.methods.rules import RuleMethod
from recbole_apa.comparison.methods.sharded import AdapterMethod

__all__ = ["AdapterMethod", "EvidenceMethod", "RecBoleMethod", "RuleMethod"]
