"""Name, read and write the files of a study folder, and make each output once."""
