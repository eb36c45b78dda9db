"""Floor 2: signatures and the one engine. Regions in, candidates out; what a candidate means is decided above."""
