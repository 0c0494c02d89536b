"""What the scripts wrote, read back."""
