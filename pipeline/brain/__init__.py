"""Voxels, hemispheres, regions and scores."""
