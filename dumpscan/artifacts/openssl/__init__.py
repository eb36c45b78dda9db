"""Floor 3: keys as OpenSSL and other libraries hold them: big numbers, and the structures that point to them."""
