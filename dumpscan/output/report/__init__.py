"""Floor 6: the HTML report."""
