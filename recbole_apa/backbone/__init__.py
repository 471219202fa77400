"""The frozen language model: found, loaded, run in two parts, and asked for answers.

The only room that knows transformers; knows no RecBole.
"""

from recbole_apa.backbone.answer_head import AnswerHead
from recbole_apa.backbone.candidate_scoring import ListScorer
from recbole_apa.backbone.default_model import packaged_model_folder
from recbole_apa.backbone.engine import ScoringEngine
from recbole_apa.backbone.family import FAMILIES, Family, LogitScale, register_family
from recbole_apa.backbone.load import Backbone, load_backbone
from recbole_apa.backbone.prompt_encoder import PromptEncoder, TokenizedPrompt
from recbole_apa.backbone.shared_prefix import SharedPass
from recbole_apa.backbone.split_decoder import SplitDecoder

__all__ = [
    "FAMILIES",
    "AnswerHead",
    "Backbone",
    "Family",
    "ListScorer",
    "LogitScale",
    "PromptEncoder",
    "ScoringEngine",
    "SharedPass",
    "SplitDecoder",
    "TokenizedPrompt",
    "load_backbone",
    "packaged_model_folder",
    "register_family",
]
