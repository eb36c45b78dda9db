"""Floor 3: AES keys, found by their expanded form."""
