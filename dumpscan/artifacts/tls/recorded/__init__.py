"""Sessions of TLS as a capture of network traffic recorded them."""
