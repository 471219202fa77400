"""The index of what a run may see: the raw interactions as columns on disk, in parts by user."""
