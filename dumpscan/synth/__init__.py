"""Floor 4: scenarios in, dumps with their ground truth out. The memory model is that of the readers."""
