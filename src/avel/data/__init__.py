"""Labels: event categories, annotations, data sets."""
