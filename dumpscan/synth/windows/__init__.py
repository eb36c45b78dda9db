"""Layouts and symbol tables of Windows kernels that only the generator needs."""
