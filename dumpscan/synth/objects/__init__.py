"""The objects that are planted in synthetic dumps."""
