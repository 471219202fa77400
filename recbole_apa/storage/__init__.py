"""Runs that do not lie in a folder of this machine: on S3 and other object stores, by fsspec."""
