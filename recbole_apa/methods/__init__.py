"""Every method of the comparison behind one small protocol: fit, score, unlearn."""
