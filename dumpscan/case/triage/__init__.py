"""Floor 5: many files in, a case out."""
