"""Floor 0: the memory model. C layouts, each declared once with its source, read by the readers and written by synth."""
