"""Score sentences by lm-eval. Only this file needs lm-eval, which a bare machine lacks."""

import logging

import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM


def make_lm_eval_scorer(model, tokenizer, batch_size):
    """Return a function from sentences to log-probabilities, as lm-eval's task BLiMP computes them."""
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    harness = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size)

    def score(sentences):
        requests = [Instance("loglikelihood", {}, ("", text), index) for index, text in enumerate(sentences)]
        return np.array([total for total, _ in harness.loglikelihood(requests, disable_tqdm=True)])

    return score
