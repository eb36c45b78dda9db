"""Floor 3: OpenPGP secret keys, as packets and in ASCII armour."""
