"""Layouts of the Linux kernel that do not come from its BTF."""
