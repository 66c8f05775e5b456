"""How good a model is: metrics, trivial baselines, reports, and the papers' tables."""
