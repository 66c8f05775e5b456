"""Metrics: one file a task; its head says the convention, the source and the range."""
