"""dumpscan: certificates, private keys and processes in Windows memory dumps."""

__version__ = "0.1.0"
