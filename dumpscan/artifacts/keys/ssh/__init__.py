"""Floor 3: private keys as programs of SSH write them."""
