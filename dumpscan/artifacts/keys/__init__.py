"""Floor 3: private keys in their file forms, and the containers that protect them."""
