"""Resample curves, compute intervals, and select the checkpoints that a fit uses."""
