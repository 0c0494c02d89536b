"""The peer of minimal pairs on a bare machine computes the same numbers, and the details of ours can be printed."""

import numpy as np
import pandas as pd
from helpers import ENGLISH, byte_level_tokenizer, random_model

from pipeline.tasks.minimal_pairs import score_pairs
from speed import pair_details
from speed.minimal_pairs import list_sentences, make_plain_scorer


def test_plain_batches_give_our_numbers_and_details_are_printed(capsys):
    tokenizer = byte_level_tokenizer(ENGLISH, 320, adds_bos=False)
    model = random_model("gpt_neox", len(tokenizer), context=64)
    texts = ["the people are", "the people is", "where is the king", "where are the king"]
    pairs = pd.DataFrame({"good": texts[::2], "bad": texts[1::2]})
    scored = score_pairs(pairs, model, tokenizer, leading_space=True)
    ours = scored[["logprob_good", "logprob_bad"]].to_numpy().ravel()
    np.testing.assert_allclose(make_plain_scorer(model, tokenizer, 3)(list_sentences(pairs)), ours, rtol=1e-5)
    pair_details.print_steps(list_sentences(pairs), model, tokenizer, 3)
    pair_details.print_decisions(pairs, model, tokenizer, (1, None), scored)
    pair_details.print_passes(pairs, model, tokenizer, 3)
    pair_details.print_row_widths(list_sentences(pairs), model, tokenizer)
    pair_details.print_fixed_shape(list_sentences(pairs), model, tokenizer)
    printed = capsys.readouterr().out
    for step in ("tokenization", "packing", "upload", "forward pass", "output layer", "download"):
        assert step in printed
    assert "forward passes by rows x columns" in printed
    assert printed.count("rows of at most") == len(pair_details.ROW_WIDTHS)
    assert printed.count("0 of 2 decisions") == 2
    assert "2 of 2 sums are equal to the bit" in printed
