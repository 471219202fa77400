"""Unlearning: request -> plan -> ledger -> retraining -> certificate, and the proof.

It may not know comparisons, the search for options, or the command line.
"""

from recbole_apa.unlearning.plan import Plan
from recbole_apa.unlearning.proof.full import VerifyResult, verify
from recbole_apa.unlearning.proof.quick import AuditResult, audit
from recbole_apa.unlearning.stage import UnlearnResult, unlearn

__all__ = ["AuditResult", "Plan", "UnlearnResult", "VerifyResult", "audit", "unlearn", "verify"]
