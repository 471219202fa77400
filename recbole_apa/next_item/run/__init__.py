"""A run of APANext: on disk, trained, opened, made to forget, proved."""
