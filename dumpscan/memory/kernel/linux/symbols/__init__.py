"""What a Linux kernel says of itself in memory: its notes, symbols and types, and tables made of them."""
