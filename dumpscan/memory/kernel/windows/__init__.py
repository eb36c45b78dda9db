"""Floor 1: Windows kernels."""
