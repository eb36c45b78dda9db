"""Synthetic images of a small Linux kernel, which has its symbols and types in memory like a real one."""
