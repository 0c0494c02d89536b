"""Make the embedded study: a small language, a model of it, and listeners with a known truth."""
