"""Plugins for volatility3 (`vol -p plugins`). volatility3 sees this package as `volatility3.plugins.dumpscan`."""
