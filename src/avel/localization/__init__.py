"""A user's video and a model to its events: what localizes, long videos in windows, scores to segments and events."""
