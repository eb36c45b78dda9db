"""Floor 3: private keys of ML-DSA and ML-KEM, whose arithmetic is that of polynomials."""
