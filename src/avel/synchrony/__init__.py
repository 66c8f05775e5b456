"""Synchrony: whether, where and how far apart in time picture and sound change together, whatever they show."""
