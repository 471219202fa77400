from .incoming import Incoming as Incoming
from .result import AdditionPlan as AdditionPlan
from .result import AddResult as AddResult
