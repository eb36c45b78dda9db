"""Floor 3: X.509 certificates."""
