"""Objects to plant in synthetic dumps: certificates, keys, containers, and decoys that look like them."""
