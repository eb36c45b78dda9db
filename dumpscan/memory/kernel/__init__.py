"""Floor 1: kernel images."""
