"""Keys as SymCrypt holds them in memory."""
