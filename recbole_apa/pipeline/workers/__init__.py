"""Work on shards with several workers: processes on this machine, or a Ray cluster. The same bytes as with one."""
