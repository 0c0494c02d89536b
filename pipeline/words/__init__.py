"""From text to words, from words to tokens, from tokens to one vector for each word."""
