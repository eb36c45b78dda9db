"""Floor 3: one module per kind of thing. A candidate and its memory in, a proven finding out."""
