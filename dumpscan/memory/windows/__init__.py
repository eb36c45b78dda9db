"""Floor 1: memory that Windows fills alike in every kind of dump: process environment blocks, times, GUIDs."""
