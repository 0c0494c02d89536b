"""Read files without running code in them, and write them whole."""
