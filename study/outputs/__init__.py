"""Read the outputs of the scripts."""
