from .known import APPROXIMATE_METHODS as APPROXIMATE_METHODS
from .losses import Answers as Answers
from .losses import nll as nll
from .losses import soft_cross_entropy as soft_cross_entropy
from .method import ApproximateMethod as ApproximateMethod
from .method import LossMethod as LossMethod
from .method import register_approximate_method as register_approximate_method
from .unlearner import ApproximateUnlearner as ApproximateUnlearner
