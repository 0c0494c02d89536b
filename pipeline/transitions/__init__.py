"""Find when curves over training rise, and which curves rise together."""
