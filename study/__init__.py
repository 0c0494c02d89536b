"""The study folder: names, reading, writing, and how an output comes to be."""
