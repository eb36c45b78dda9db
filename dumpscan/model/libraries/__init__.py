"""Layouts of what cryptographic libraries of any system hold in memory: sessions of TLS, keys of OpenSSH."""
