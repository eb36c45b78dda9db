"""Floor 0: the memory model. C layouts, each declared once with its source, for the readers and for synth."""
