"""Floor 6: files for other tools, and key files."""
