"""Assign voxels to hemispheres and regions, and compute brain scores."""
