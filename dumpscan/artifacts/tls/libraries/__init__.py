"""Floor 3: what is told of TLS sessions by the layouts of one library or another."""
