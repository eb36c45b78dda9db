"""RSA private keys: their arithmetic, and their structure in DER."""
