"""How acceptable the sentences of a generated text are, in the eyes of a classifier.

The classifier is a model of the Corpus of Linguistic Acceptability (CoLA), which tells sentences
that linguists call acceptable from those that they star. It judges one sentence at a time: it says
something of grammar, and nothing of sense or coherence.
"""

import re
import warnings

import numpy as np
import sentencex
import torch

from pipeline.errors import InputError
from pipeline.models.batches import explain_model_errors, work_in_batches
from pipeline.models.tokenization import find_context_length

MOST_TOKENS = 512  # of a sentence, for a classifier without a limit of its own
# What classifiers call an acceptable sentence; where labels have no names, CoLA's own 1.
ACCEPTABLE_NAMES = {"acceptable", "grammatical", "label_1", "1"}
SENTENCE_END = re.compile(r"""[.!?…]['"’”»)\]\s]*$""")


def split_sentences(text, prompt, lang="en"):
    """The whole sentences that follow a prompt.

    Left out are the prompt, a sentence that begins in it, and a last one that was cut off.

    Parameters
    ----------
    text : str
        Begins with the prompt.
    prompt : str
        Where it does not end like a sentence, the first sentence found is the end of its own.
    lang : str
        Whose abbreviations are known.

    Returns
    -------
    list of str
        Empty where nothing was written, or nothing that ends like a sentence.
    """
    written = sentencex.segment(lang, text[len(prompt) :])
    if written and not SENTENCE_END.search(prompt):
        del written[0]
    if written and not SENTENCE_END.search(written[-1]):
        written.pop()
    return [" ".join(sentence.split()) for sentence in written if any(map(str.isalnum, sentence))]


def find_acceptable_label(names_of_labels, wanted=None):
    """The number of the label that means acceptable.

    Parameters
    ----------
    names_of_labels : dict from int to str
        ``id2label`` of the classifier's config.
    wanted : str, optional
        The label's name or number; by default it is found by its name.

    Returns
    -------
    int

    Raises
    ------
    InputError
        No label, or more than one, can be meant.
    """
    wanted_names = ACCEPTABLE_NAMES if wanted is None else {wanted.lower()}
    found = [number for number, name in names_of_labels.items() if name.lower() in wanted_names]
    if not found and wanted is not None and wanted.isdecimal() and int(wanted) in names_of_labels:
        found = [int(wanted)]
    if len(found) != 1 or len(names_of_labels) < 2:
        names = ", ".join(names_of_labels.values())
        raise InputError(f"which of its labels ({names}) means acceptable? --acceptable_label says so")
    return found[0]


@torch.inference_mode()
def judge_sentences(
    sentences, model, tokenizer, label, batch_size=32, progress=None, log=warnings.warn, known=None, keep=None
):
    """Probability that each sentence is acceptable.

    Parameters
    ----------
    sentences : sequence of n_sentences str
        Longer ones than the classifier can read are cut.
    model : transformers.PreTrainedModel
        A sequence classifier, in evaluation mode.
    tokenizer : transformers.PreTrainedTokenizerFast
    label : int
        See ``acceptable_label``.
    batch_size : int
    progress : callable, optional
        Called after each batch with the number of sentences in it.
    log : callable
        Called with a line for the user where memory does not hold a batch, which is then halved.
    known : float64 array of shape (n_sentences, 2), optional
        What ``keep`` was last called with when the same work was interrupted.
    keep : callable, optional
        Called after each batch with the probabilities, and whether accepted, so far; NaN where they are
        not known yet.

    Returns
    -------
    probabilities : float64 array of shape (n_sentences,)
    accepted : bool array of shape (n_sentences,)
        Whether acceptable is the most probable label.

    Raises
    ------
    InputError
        A probability is not finite, or the memory does not hold even one sentence.
    """
    longest = min(tokenizer.model_max_length, find_context_length(model) or MOST_TOKENS)
    by_length = sorted(range(len(sentences)), key=lambda index: -len(sentences[index]))
    judged = np.full((len(sentences), 2), np.nan) if known is None else known.copy()

    def judge(batch):
        if np.isnan(judged[batch]).any():
            encoded = tokenizer(
                [sentences[index] for index in batch],
                padding=True,
                truncation=True,
                max_length=longest,
                return_tensors="pt",
            ).to(model.device)
            with explain_model_errors(model, "judge sentences"):
                of_labels = model(**encoded).logits.float().softmax(dim=-1)  # (n_sentences, n_labels)
            judged[batch, 0] = of_labels[:, label].cpu().numpy()
            judged[batch, 1] = (of_labels.argmax(dim=-1) == label).cpu().numpy()
            if keep is not None:
                keep(judged)
        if progress is not None:
            progress(len(batch))

    work_in_batches(by_length, batch_size, judge, log)
    if not np.isfinite(judged).all():
        raise InputError("the classifier's probabilities are not finite numbers: it is damaged")
    return judged[:, 0], judged[:, 1].astype(bool)


def average_over_texts(texts, probabilities, accepted):
    """Acceptability of whole texts from that of their sentences.

    Parameters
    ----------
    texts : list of n_texts lists of str
        The sentences of each.
    probabilities, accepted : dict from sentence to float and to bool

    Returns
    -------
    dict of arrays of shape (n_texts,): n_sentences, mean_probability, share_acceptable
        NaN for a text without a sentence.
    """
    return {
        "n_sentences": np.array([len(sentences) for sentences in texts]),
        "mean_probability": np.array([_mean([probabilities[s] for s in sentences]) for sentences in texts]),
        "share_acceptable": np.array([_mean([accepted[s] for s in sentences]) for sentences in texts]),
    }


def _mean(values):
    return np.mean(values) if values else np.nan
