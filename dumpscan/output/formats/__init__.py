"""What is written to standard output, a module for each format."""
