"""Floor 6: tables for people."""
