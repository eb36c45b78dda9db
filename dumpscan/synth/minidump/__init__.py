"""Minidumps, built from a scenario."""
