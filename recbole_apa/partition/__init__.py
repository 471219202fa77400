"""Sample -> shard; others can add their own partitions with :func:`register_partition`.

Each partition is one small class. Pure torch; independent of RecBole and transformers.
"""

from recbole_apa.core.ids import item_of, user_of

# in the order in which messages list them
from recbole_apa.partition.semantic import SemanticPartitioner  # isort: skip
from recbole_apa.partition.random import RandomPartitioner  # isort: skip
from recbole_apa.partition.receraser import InteractionPartitioner, ItemPartitioner, UserPartitioner  # isort: skip
from recbole_apa.partition.grapheraser import BEKMPartitioner, BLPAPartitioner  # isort: skip
from recbole_apa.partition.assignment import Partition, check_partition_input
from recbole_apa.partition.bounded import assign_by_distance
from recbole_apa.partition.centres import with_member_means
from recbole_apa.partition.check import check_partition
from recbole_apa.partition.collaborative import CollaborativePartitioner
from recbole_apa.partition.partitioner import (
    PARTITIONERS,
    Collaborative,
    Partitioner,
    partition_problems,
    register_partition,
)

__all__ = [
    "PARTITIONERS",
    "BEKMPartitioner",
    "BLPAPartitioner",
    "Collaborative",
    "CollaborativePartitioner",
    "InteractionPartitioner",
    "ItemPartitioner",
    "Partition",
    "Partitioner",
    "RandomPartitioner",
    "SemanticPartitioner",
    "UserPartitioner",
    "assign_by_distance",
    "check_partition",
    "check_partition_input",
    "item_of",
    "partition_problems",
    "register_partition",
    "user_of",
    "with_member_means",
]
