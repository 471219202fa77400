"""Attacks on what the package promises: runs killed at every file operation, odd request files, tampered folders."""
