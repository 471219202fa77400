from .forget_task import ForgetRequest as ForgetRequest
from .forgetting import Forgetting as Forgetting
from .forgetting import compare_forgetting as compare_forgetting
from .method import Method as Method
from .registry import make_methods as make_methods
from .registry import row_names as row_names
from .run_methods import Comparison as Comparison
from .run_methods import compare as compare
