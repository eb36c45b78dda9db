"""Floor 1: ELF cores of Linux processes."""
