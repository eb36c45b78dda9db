"""Layouts and symbol tables of Windows that only the generator needs."""
