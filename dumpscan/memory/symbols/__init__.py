"""Floor 1: symbol tables of kernels."""
