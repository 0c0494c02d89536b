"""Published data, one data set a file."""
