"""Show a study: on the terminal, in figures and tables, in words, and on a page."""
