from .full import VerifyResult as VerifyResult
from .full import verify as verify
from .quick import AuditResult as AuditResult
from .quick import audit as audit
