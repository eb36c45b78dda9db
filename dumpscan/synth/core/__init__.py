"""Cores of Linux processes from a scenario."""
