"""Bytes that give secrets away: the numbers of keys, the ways to write them, what is left of a key."""
