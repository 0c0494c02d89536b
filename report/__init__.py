"""What a study looks like on the terminal."""
