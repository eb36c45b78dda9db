"""Private keys in the forms in which Windows and other programs write them."""
