"""Minidumps from a scenario."""
