"""Align words with text, tokens with words, and compute one vector per word and layer."""
