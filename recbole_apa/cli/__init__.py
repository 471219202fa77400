"""The command line: ``recbole-apa``, ``python -m recbole_apa``, ``run_recbole_apa.py``."""
