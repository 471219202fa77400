"""K adapters in one model: LoRA and (IA)3 layers mixed for every sample, their training, their files, their weights.

Pure torch; knows neither RecBole nor transformers.
"""

from recbole_apa.adapters.aggregation import Memory, adaptive_weights
from recbole_apa.adapters.bank import AdapterBank
from recbole_apa.adapters.ia3 import StackedIA3Linear
from recbole_apa.adapters.lora import Mixture, StackedLoRALinear
from recbole_apa.adapters.peft_files import read_adapter, write_adapter
from recbole_apa.adapters.receraser_attention import LearnedAttention, fit_attention
from recbole_apa.adapters.training import ShardHistory, train_adapter, train_together
from recbole_apa.adapters.weight_rules import WEIGHT_RULES, Weighting, WeightRule, register_weight_rule

__all__ = [
    "WEIGHT_RULES",
    "AdapterBank",
    "LearnedAttention",
    "Memory",
    "Mixture",
    "ShardHistory",
    "StackedIA3Linear",
    "StackedLoRALinear",
    "WeightRule",
    "Weighting",
    "adaptive_weights",
    "fit_attention",
    "read_adapter",
    "register_weight_rule",
    "train_adapter",
    "train_together",
    "write_adapter",
]
