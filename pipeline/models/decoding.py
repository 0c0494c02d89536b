"""Write tokens with a cache of fixed size, whose steps a GPU repeats as one graph.

A step of a model with 32 layers starts some 2,000 short pieces of work. Starting each takes a GPU longer than reading
all weights of the model. A CUDA graph starts them all at once.
"""

import inspect

import torch
import transformers
from transformers.cache_utils import StaticLayer

from pipeline.models import fused_norms

N_UNGRAPHED = 16  # tokens that are written faster without a graph, which takes as long to record
STEPS_BETWEEN_TESTS = 16  # of whether all texts have ended
MULTIPLE = 16  # of the cache's size: attention copies masks of other sizes to align them


def can_write_statically(model):
    """Return whether Transformers supports a cache of fixed size for a model, and positions from the caller."""
    has_positions = "position_ids" in inspect.signature(model.forward).parameters
    return has_positions and getattr(model, "_can_compile_fullgraph", False)


@torch.inference_mode()
def write_statically(model, input_ids, attention_mask, *, n_new, score, choose, log):
    """Write the tokens that a function chooses, as ``model.generate`` does.

    Parameters
    ----------
    model : transformers.PreTrainedModel for which ``can_write_statically`` is True; its ``generation_config`` has
        EOS, which ends a text, or None, and a padding token, which follows it
    input_ids : int tensor (n_texts, n_ids), padding and the beginning of each text
    attention_mask : int tensor (n_texts, n_ids), 0 for padding
    n_new : int
    score : callable of the logits (n_texts, n_vocabulary) and the number of tokens before, an int64 tensor (1,)
        It returns a tuple of tensors. It is recorded in the graph, so it never waits for the device.
    choose : callable of the ids so far (n_texts, n_tokens) and what ``score`` returned; returns the tokens (n_texts,)
    log : callable of a line for the user, where a graph cannot be recorded

    Returns
    -------
    int tensor (n_texts, n_ids + n_new), with padding after the last token of a text
    """
    n_texts, n_ids = input_ids.shape
    config = model.generation_config
    written = torch.cat([input_ids, input_ids.new_full((n_texts, n_new), config.pad_token_id)], dim=1)
    is_done = torch.zeros(n_texts, dtype=torch.bool, device=input_ids.device)
    read = StaticReader(model, attention_mask, n_ids + n_new, score)
    with fused_norms.fuse_norms(model):
        scores = read.start(input_ids)
        for step in range(n_new):
            if step == 2 and n_new > N_UNGRAPHED and input_ids.device.type == "cuda":
                read.record_graph(log)
            if step > 0:
                scores = read.advance(written[:, n_ids + step - 1 : n_ids + step])
            tokens = choose(written[:, : n_ids + step], *scores)
            written[:, n_ids + step] = torch.where(is_done, config.pad_token_id, tokens)
            if config.eos_token_id is not None:
                is_done |= tokens == config.eos_token_id
                if step % STEPS_BETWEEN_TESTS == STEPS_BETWEEN_TESTS - 1 and is_done.all():
                    break
    return written


class StaticReader:
    """Read texts token by token, with keys and values in a cache of fixed size."""

    def __init__(self, model, is_token, n_most, score):
        self.model, self.graph, self.score = model, None, score
        n_most = -(-n_most // MULTIPLE) * MULTIPLE
        self.cache = transformers.StaticCache(config=model.config, max_cache_len=n_most)
        # Later tokens are not padding. The model itself hides them from earlier tokens.
        self.mask = torch.nn.functional.pad(is_token, (0, n_most - is_token.shape[1]), value=1)
        self.positions = (is_token.cumsum(dim=1) - 1).clamp(min=0)

    def start(self, ids):
        """Read the beginnings of texts (n_texts, n_ids), and return the scores of the next tokens."""
        self.step = torch.zeros(1, dtype=torch.int64, device=ids.device)
        scores = self.score(self._read(ids, self.positions), self.step)
        self.position = self.positions[:, -1:].clone()  # of the last token that was read
        self.token = ids[:, -1:].clone()
        return scores

    def advance(self, tokens):
        """Read one more token of each text (n_texts, 1), and return the scores of the next tokens."""
        self.token.copy_(tokens)
        if self.graph is None:
            return self._step()
        self.graph.replay()
        return self.scores

    def record_graph(self, log):
        """Record the next step as a graph, which is not carried out yet. A model that cannot be recorded is logged."""
        # A sliding window counts its tokens in Python: every repetition would see the number of the recorded step.
        if not all(type(layer) is StaticLayer for layer in self.cache.layers):
            log(f"{type(self.model).__name__}: its cache fits in no CUDA graph: texts take longer")
            return
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self.scores = self._step()
            self.graph = graph
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            log(f"{type(self.model).__name__}: no CUDA graph can be recorded: texts take longer ({reason})")

    def _step(self):
        self.position.add_(1)
        self.step.add_(1)
        return self.score(self._read(self.token, self.position), self.step)

    def _read(self, ids, positions):
        output = self.model(
            input_ids=ids,
            attention_mask=self.mask,
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
        )
        return output.logits[:, -1]
