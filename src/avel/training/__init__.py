"""How a model is trained: tasks, settings, data, the loop, checkpoints."""
