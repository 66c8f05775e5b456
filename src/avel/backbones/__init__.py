"""Pretrained networks: where their weights come from, how they run, and what goes in and out of each."""
