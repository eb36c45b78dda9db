"""Kernel images from a scenario."""
