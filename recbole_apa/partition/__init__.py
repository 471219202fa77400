"""Sample -> shard. Each way of dividing is one small file; pure torch, knows neither RecBole nor transformers."""

from recbole_apa.partition.assignment import Partition, Partitioner
from recbole_apa.partition.collaborative import DIVISIONS, Collaborative, CollaborativePartitioner
from recbole_apa.partition.random import RandomPartitioner
from recbole_apa.partition.semantic import SemanticPartitioner

PARTITIONERS: dict[str, type[Partitioner]] = {"semantic": SemanticPartitioner, "random": RandomPartitioner}

__all__ = [
    "DIVISIONS",
    "PARTITIONERS",
    "Collaborative",
    "CollaborativePartitioner",
    "Partition",
    "Partitioner",
    "RandomPartitioner",
    "SemanticPartitioner",
]
