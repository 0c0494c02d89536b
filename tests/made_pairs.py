"""Share what tests of minimal_pairs need."""

RECORD = {"sentence_good": "a b", "sentence_bad": "b a", "linguistics_term": "t", "field": "f"}
