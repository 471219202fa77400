"""Next items over a whole catalogue, by heads on one pass of the frozen language model; what they learnt is forgotten
exactly. ``heads`` and ``counts`` know neither RecBole nor transformers.
"""
