"""Floor 1: file formats of physical memory that are read here, not by volatility3."""
