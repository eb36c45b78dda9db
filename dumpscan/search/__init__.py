"""Floor 4: one dump in, findings out."""
