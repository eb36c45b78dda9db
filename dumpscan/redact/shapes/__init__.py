"""What is told by its shape, wherever it lies in a file: credentials, environments, what a user describes."""
