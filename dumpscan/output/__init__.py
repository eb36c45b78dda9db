"""Floor 5: findings out, as a table, JSON, JSON lines, CSV or files."""
