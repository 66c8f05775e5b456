"""Many videos to results: what became of each, and what one of them may do to the others, which is nothing."""
