"""Proofs that a run forgot what it says: a quick audit, and training again from scratch."""

from recbole_apa.unlearning.proof.full import VerifyResult, verify
from recbole_apa.unlearning.proof.quick import AuditResult, audit

__all__ = ["AuditResult", "VerifyResult", "audit", "verify"]
