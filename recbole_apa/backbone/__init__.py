"""Everything that touches transformers: finding, loading and running the frozen language model."""
