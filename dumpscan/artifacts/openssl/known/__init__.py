"""Floor 3: the private keys of public keys that are known, in whatever form their numbers lie in memory."""
