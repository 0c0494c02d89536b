"""Pool the states of tokens over words, on the device of the model, and copy the vectors of words to the host.

A GPU copies the vectors of a layer while it computes the next layer. Pinned memory is required for this: a copy to
pageable memory takes ten times longer, and the GPU waits for it.
"""

import contextlib

import numpy as np
import torch
from torch.nn.functional import embedding_bag

WORDS_AT_ONCE = 256  # on a CPU, where the shares of their tokens then need little memory


class WordSums:
    """Add up the vectors of the words of one run, from one batch of tokens after the other.

    Parameters
    ----------
    n_layers, n_units : int
    ranges : int array (n_words, 2), first token of each word, and the end of its tokens (exclusive)
    n_tokens : int, tokens of the run
    device : torch.device of the states
    is_sum : bool, add up the states of the tokens of a word; otherwise average them
    """

    def __init__(self, n_layers, n_units, ranges, *, n_tokens, device, is_sum=False):
        shape = (n_layers, len(ranges), n_units)
        self.ranges, self.is_sum, self.n_complete, self.stream = ranges, is_sum, 0, None
        self.vectors = torch.zeros(shape, device=device)
        self.norms = torch.zeros(n_layers, n_tokens, device=device)  # of the state of each token
        self.is_staged = is_staged(device)
        self.host = torch.empty(shape, pin_memory=device.type == "cuda") if self.is_staged else self.vectors
        if device.type == "cuda":
            self.stream = torch.cuda.Stream(device)
            self.vectors.record_stream(self.stream)  # after an error, the memory is not used until copies end

    def begin_batch(self, new, end):
        """Prepare for the states of the tokens ``new:end`` of the run, in every layer."""
        is_complete = self.ranges[:, 1] <= end
        self.first_incomplete = self.n_complete  # its vector is not on the host yet
        self.n_complete = len(is_complete) if is_complete.all() else int(np.argmin(is_complete))
        words = np.flatnonzero((self.ranges[:, 0] < end) & (self.ranges[:, 1] > new))
        step = WORDS_AT_ONCE if self.vectors.device.type == "cpu" else max(1, len(words))
        blocks = (words[first : first + step] for first in range(0, len(words), step))
        self.shares = [
            [share.to(self.vectors.device) for share in share_tokens(block, self.ranges, new, end, self.is_sum)]
            for block in blocks
        ]
        self.new, self.end = new, end

    def add(self, layer, states):
        """Add the states (n_tokens, n_units) of the tokens of a batch to the vectors of their words."""
        states = states.float()
        for words, firsts, tokens, weights in self.shares:
            sums = embedding_bag(tokens, states, firsts, mode="sum", per_sample_weights=weights)  # (n_words, n_units)
            self.vectors[layer].index_add_(0, words, sums)
        self.norms[layer, self.new : self.end] = torch.linalg.vector_norm(states, dim=1)
        if self.is_staged:
            self._copy_complete_words(layer)

    def finish(self):
        """Return the vectors of all words, and the norms of all tokens, when every batch has been added.

        Returns
        -------
        vectors : float32 array (n_layers, n_words, n_units)
        norms : float32 array (n_layers, n_tokens)
        """
        if self.stream is not None:
            self.stream.synchronize()
        return self.host.numpy(), self.norms.cpu().numpy()

    def _copy_complete_words(self, layer):
        """Copy the vectors of the words that this batch completes to the host, without waiting for the copy."""
        words = slice(self.first_incomplete, self.n_complete)
        with contextlib.ExitStack() as exits:
            if self.stream is not None:
                self.stream.wait_stream(torch.cuda.current_stream(self.vectors.device))
                exits.enter_context(torch.cuda.stream(self.stream))
            self.host[layer, words].copy_(self.vectors[layer, words], non_blocking=True)


def is_staged(device):
    """Return whether vectors are copied from the device to the host."""
    return device.type == "cuda"


def share_tokens(words, ranges, new, end, is_sum=False):
    """Return the tokens ``new:end`` of words, and their weights in the vector of each word, as four tensors.

    Parameters
    ----------
    words : int array (n_words,), indices of words, each with a token in ``new:end``
    ranges : int array (n_words of the run, 2)
    new, end : int
    is_sum : bool

    Returns
    -------
    words, firsts : int tensor (n_words,), the words, and the index of each word's first share
    tokens : int tensor (n_shares,), the token of each share, counted from ``new`` on
    weights : float32 tensor (n_shares,), 1 for the sum, else 1 / number of tokens of the word
    """
    begins, ends = np.maximum(ranges[words, 0], new), np.minimum(ranges[words, 1], end)
    n_inside = ends - begins
    firsts = np.cumsum(n_inside) - n_inside
    tokens = np.arange(n_inside.sum()) + np.repeat(begins - new - firsts, n_inside)
    weights = np.ones(len(tokens)) if is_sum else np.repeat(1 / (ranges[words, 1] - ranges[words, 0]), n_inside)
    return tuple(map(torch.from_numpy, (words, firsts, tokens, weights.astype(np.float32))))
