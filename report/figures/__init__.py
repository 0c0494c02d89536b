"""The figures of the notebook and the page."""
