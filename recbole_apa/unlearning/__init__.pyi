from .outcome import UnlearnResult as UnlearnResult
from .plan import Plan as Plan
from .proof.full import VerifyResult as VerifyResult
from .proof.full import verify as verify
from .proof.quick import AuditResult as AuditResult
from .proof.quick import audit as audit
from .stage import unlearn as unlearn
