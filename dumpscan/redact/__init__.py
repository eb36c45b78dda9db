"""Floor 5: a copy of a dump without its secrets, and the proof of it."""
