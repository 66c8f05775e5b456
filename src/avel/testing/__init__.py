"""Clips with a known answer, for tests, documentation and examples."""
