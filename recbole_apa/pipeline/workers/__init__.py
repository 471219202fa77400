"""Work on shards with several workers: processes on this machine, or a Ray cluster. The same bytes as with one.

It may not know requests: what a worker sees of the data is told to it. Its names are not re-exported, because a
worker's process has to start before anything heavy is imported.
"""

__all__: list[str] = []
