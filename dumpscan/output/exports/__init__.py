"""Files for other tools, and key files."""
