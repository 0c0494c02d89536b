"""Make the items of benchmarks of language models, and score them."""
