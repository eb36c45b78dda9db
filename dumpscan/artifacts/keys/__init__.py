"""Floor 3: private keys in their file forms."""
