"""Floor 5: the case file, an SQLite database."""
