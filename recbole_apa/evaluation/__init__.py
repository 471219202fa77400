"""Scores -> figures: metrics, intervals, and the rules that a model must beat."""
