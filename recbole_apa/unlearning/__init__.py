"""Exact unlearning of a run: request -> plan -> ledger -> retraining -> certificate, and its proof."""
