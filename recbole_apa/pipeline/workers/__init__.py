"""Work on shards by several workers at once: processes of this machine, or a Ray cluster. The same bytes as one."""
