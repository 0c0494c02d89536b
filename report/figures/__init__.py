"""Draw the figures of the notebook and of the page."""
