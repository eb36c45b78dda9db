"""Floor 3: objects written as text."""
