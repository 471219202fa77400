"""The frozen language model: finding it, loading it, running it in two parts, and scoring its answers.

The only room that depends on transformers; independent of RecBole.
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
