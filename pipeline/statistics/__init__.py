"""Curves, their resamples and intervals, and the checkpoints that a fit uses."""
