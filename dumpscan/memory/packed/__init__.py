"""Floor 1: dumps that are packed: compressed files, and archives of them."""
