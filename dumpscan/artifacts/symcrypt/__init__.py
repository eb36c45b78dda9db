"""Floor 3: the live key objects of SymCrypt, Windows' own crypto library."""
