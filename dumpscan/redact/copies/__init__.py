"""Copies of secrets that are known: whole ones and fragments, in every form, everywhere in a file."""
