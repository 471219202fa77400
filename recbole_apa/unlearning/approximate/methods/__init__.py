"""The approximate methods, one file each.

Add your own with :func:`~recbole_apa.unlearning.approximate.register_approximate_method`.
"""

# in the order that messages list them
from recbole_apa.unlearning.approximate.methods.grad_ascent import GradAscent  # isort: skip
from recbole_apa.unlearning.approximate.methods.grad_diff import GradDiff  # isort: skip
from recbole_apa.unlearning.approximate.methods.npo import NPO, SimNPO  # isort: skip
from recbole_apa.unlearning.approximate.methods.rapidun import RapidUn  # isort: skip
from recbole_apa.unlearning.approximate.methods.bad_teacher import BadTeacher, BadTeacherFlip  # isort: skip
from recbole_apa.unlearning.approximate.methods.e2urec import E2URec  # isort: skip
from recbole_apa.unlearning.approximate.methods.llmeraser import LLMEraser  # isort: skip

__all__ = ["NPO", "BadTeacher", "BadTeacherFlip", "E2URec", "GradAscent", "GradDiff", "LLMEraser", "RapidUn", "SimNPO"]
