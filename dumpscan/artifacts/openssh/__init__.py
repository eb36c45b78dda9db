"""Floor 3: private keys as OpenSSH's programs hold them in memory."""
