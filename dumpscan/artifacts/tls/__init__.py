"""Floor 3: secrets of TLS sessions, proven by the traffic keys that follow from them."""
