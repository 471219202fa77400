"""Approximate unlearning: a trained adapter is moved away from what it learnt of the forgotten samples."""
