"""Classes of partitions."""

from recbole_apa.partition import Partitioner


def partition_class(**attributes):
    given = {"name": "mine", "takes_capacity": True, "__call__": lambda self, *rest: None, **attributes}
    return type("Mine", (Partitioner,), given)
