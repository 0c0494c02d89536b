"""Judge the acceptability of the sentences of generated texts with a classifier.

The classifier was trained on the Corpus of Linguistic Acceptability (CoLA), in which linguists label sentences as
acceptable or unacceptable. It judges one sentence at a time. It measures grammar, and neither meaning nor coherence.
"""

import re
import warnings

import numpy as np
import sentencex
import torch

from pipeline.errors import InputError
from pipeline.models.batches import explain_model_errors, work_in_batches
from pipeline.models.tokenization import check_finite, find_context_length

MOST_TOKENS = 512  # of a sentence, where the classifier has no limit
# Names of the acceptable label. Where labels have no names, CoLA's is 1.
ACCEPTABLE_NAMES = {"acceptable", "grammatical", "label_1", "1"}
SENTENCE_END = re.compile(r"""[.!?…]['"’”»)\]\s]*$""")


def split_sentences(text, prompt, lang="en"):
    """Return the whole sentences that follow a prompt, a list of str, empty without a whole sentence.

    The prompt, a sentence that begins in the prompt, and an incomplete last sentence are not returned.

    Parameters
    ----------
    text : str that begins with the prompt
    prompt : str; if it does not end like a sentence, the text completes the prompt's sentence
    lang : str, the language, whose abbreviations do not end a sentence
    """
    sentences = sentencex.segment(lang, text[len(prompt) :])
    if sentences and not SENTENCE_END.search(prompt):
        del sentences[0]
    if sentences and not SENTENCE_END.search(sentences[-1]):
        sentences.pop()
    return [" ".join(sentence.split()) for sentence in sentences if any(map(str.isalnum, sentence))]


def find_acceptable_label(names_of_labels, wanted=None):
    """Return the number of the label for acceptable sentences, an int.

    InputError is raised if no label, or more than one label, matches.

    Parameters
    ----------
    names_of_labels : dict from int to str, ``id2label`` of the classifier's config
    wanted : str, optional; the name or number of the label, by default one of ``ACCEPTABLE_NAMES``
    """
    wanted_names = ACCEPTABLE_NAMES if wanted is None else {wanted.lower()}
    matches = [number for number, name in names_of_labels.items() if name.lower() in wanted_names]
    if not matches and wanted is not None and wanted.isdecimal() and int(wanted) in names_of_labels:
        matches = [int(wanted)]
    if len(matches) != 1 or len(names_of_labels) < 2:
        names, expected = ", ".join(names_of_labels.values()), wanted or "acceptable"
        raise InputError(f"expected one label {expected!r}, got {names}. Set --acceptable_label.")
    return matches[0]


@torch.inference_mode()
def judge_sentences(
    sentences, model, tokenizer, label, batch_size=32, progress=None, log=warnings.warn, known=None, keep=None
):
    """Return the probability that each sentence is acceptable, according to a classifier.

    InputError is raised if a probability is not finite, or one sentence does not fit in memory.

    Parameters
    ----------
    sentences : sequence of n_sentences str; longer sentences than the classifier can read are truncated
    model : transformers.PreTrainedModel, a sequence classifier in evaluation mode
    tokenizer : transformers.PreTrainedTokenizerFast
    label : int, as ``find_acceptable_label`` returns it
    batch_size : int, sentences of a batch; batches are halved where memory runs out
    progress : callable of the number of sentences in a batch, optional; called after each batch
    log : callable of a line for the user, where batches are halved
    known : float64 array (n_sentences, 2), optional; the last argument of ``keep`` before the work was interrupted
    keep : callable, optional
        Called after each batch with the results so far: a column of probabilities, and a column of decisions. NaN where
        they are not known yet.

    Returns
    -------
    probabilities : float64 array (n_sentences,)
    accepted : bool array (n_sentences,), True where acceptable is the most probable label
    """
    longest = min(tokenizer.model_max_length, find_context_length(model) or MOST_TOKENS)
    by_length = sorted(range(len(sentences)), key=lambda index: -len(sentences[index]))
    judged = np.full((len(sentences), 2), np.nan) if known is None else known.copy()

    def judge(batch):
        if np.isnan(judged[batch]).any():
            probabilities = _classify([sentences[index] for index in batch], model, tokenizer, longest)
            judged[batch, 0] = probabilities[:, label].cpu().numpy()
            judged[batch, 1] = (probabilities.argmax(dim=-1) == label).cpu().numpy()
            if keep is not None:
                keep(judged)
        if progress is not None:
            progress(len(batch))

    work_in_batches(by_length, batch_size, judge, log)
    check_finite(judged, "probabilities of the classifier", remedy="Use another classifier.")
    return judged[:, 0], judged[:, 1].astype(bool)


def _classify(sentences, model, tokenizer, max_tokens):
    """Return the probability of each label for each sentence, a tensor of shape (n_sentences, n_labels)."""
    encoded = tokenizer(sentences, padding=True, truncation=True, max_length=max_tokens, return_tensors="pt")
    with explain_model_errors(model, "judge sentences"):
        return model(**encoded.to(model.device)).logits.float().softmax(dim=-1)


def average_over_texts(texts, probabilities, accepted):
    """Average the acceptability of sentences over texts.

    Parameters
    ----------
    texts : list of n_texts lists of str, the sentences of each text
    probabilities, accepted : dict from sentence to float and to bool

    Returns
    -------
    dict of arrays (n_texts,): n_sentences, mean_probability, share_acceptable; NaN for a text without a sentence
    """

    def average(values):
        return np.array([np.mean([values[each] for each in sentences]) if sentences else np.nan for sentences in texts])

    return {
        "n_sentences": np.array(list(map(len, texts))),
        "mean_probability": average(probabilities),
        "share_acceptable": average(accepted),
    }
