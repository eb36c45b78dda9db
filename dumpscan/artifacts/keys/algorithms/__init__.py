"""Floor 3: algorithms of private keys, each with its proof: numbers in, proven key out."""
