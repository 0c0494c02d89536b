"""Read the published inputs, one data set a file."""
