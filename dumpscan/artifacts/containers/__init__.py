"""Floor 3: containers that protect private keys with a password."""
