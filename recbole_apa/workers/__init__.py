"""Work on shards by several workers at once: processes of this machine, or a Ray cluster. Same bytes as one."""
