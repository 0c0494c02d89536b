"""When curves over training rise, and which rise together."""
