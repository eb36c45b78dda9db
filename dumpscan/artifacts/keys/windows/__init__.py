"""Floor 3: private keys as the crypto interfaces of Windows write them."""
