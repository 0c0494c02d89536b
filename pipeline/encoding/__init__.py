"""Predict targets from features by ridge regression, on held-out samples.

A sample is a scan, a sentence or a word; a feature is a unit of a model's layer or any other regressor; a target is
a voxel, a sensor or an electrode. Every array has one row per sample.
"""
