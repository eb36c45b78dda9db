"""Floor 1: address spaces. Opens a dump, lists its regions, reads addresses, says where they lie in the file."""
