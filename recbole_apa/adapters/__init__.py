"""K adapters in one model: LoRA and (IA)3 layers mixed per sample, their training, files and mixture weights.

Pure torch; independent of RecBole and transformers.
"""

# in the order in which messages list them
from recbole_apa.adapters.lora import LoRA, StackedLoRALinear  # isort: skip
from recbole_apa.adapters.ia3 import IA3, StackedIA3Linear  # isort: skip
from recbole_apa.adapters.aggregation import Memory, adaptive_weights
from recbole_apa.adapters.bank import AdapterBank
from recbole_apa.adapters.kind import ADAPTER_KINDS, AdapterKind, StackedLayer, register_adapter_kind
from recbole_apa.adapters.mixture import Mixture, home_of
from recbole_apa.adapters.peft_files import read_adapter, write_adapter
from recbole_apa.adapters.receraser_attention import LearnedAttention, fit_attention
from recbole_apa.adapters.training import ShardHistory, train_adapter, train_together
from recbole_apa.adapters.weight_rules import WEIGHT_RULES, Weighting, WeightRule, register_weight_rule

__all__ = [
    "ADAPTER_KINDS",
    "IA3",
    "WEIGHT_RULES",
    "AdapterBank",
    "AdapterKind",
    "LearnedAttention",
    "LoRA",
    "Memory",
    "Mixture",
    "ShardHistory",
    "StackedIA3Linear",
    "StackedLayer",
    "StackedLoRALinear",
    "WeightRule",
    "Weighting",
    "adaptive_weights",
    "fit_attention",
    "home_of",
    "read_adapter",
    "register_adapter_kind",
    "register_weight_rule",
    "train_adapter",
    "train_together",
    "write_adapter",
]
