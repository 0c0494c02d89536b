"""Language models: loading, tokenization, hidden states, scores of sentences, generation."""
