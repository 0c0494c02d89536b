"""Compare the geometry of two sets of responses to the same samples, without fitting one to the other."""
