"""Resampling, intervals and the checkpoints that a fit uses."""
