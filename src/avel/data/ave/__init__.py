"""The AVE data set: its lists and labels, its HDF5 layout, and checks of a copy."""
