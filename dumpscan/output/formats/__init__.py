"""Floor 6: what is written to standard output, a module per format."""
