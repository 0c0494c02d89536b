"""Choose how many sentences a model reads at once."""

from pipeline.models.memory import count_free_bytes
from pipeline.models.prefix_trees import ROW_TOKENS
from pipeline.models.tokenization import count_rows, get_text_config

# More sentences share more beginnings, and keep a GPU busy. A CPU computes no faster with more than these.
MOST_SENTENCES = {"cpu": 256, "gpu": 2048}
CPU_BYTES = 4 * 2**30  # as though so many were free: several jobs may share the memory of a CPU
N_WIDE = 8  # tensors of the model's width that a layer holds at once; of the width inside the feed-forward layer: 4
N_INSIDE = 4


def choose_batch_size(model, n_tokens, has_all_logits, free_bytes=None):
    """Return the number of sentences of a batch, a power of two, that half of the free memory holds by an estimate.

    Parameters
    ----------
    model : transformers.PreTrainedModel, on its device
    n_tokens : float, mean number of tokens of a sentence
    has_all_logits : bool, whether the logits of all tokens of a batch are in memory at once
    free_bytes : int, optional, by default as ``find_free_bytes`` returns it
    """
    config, kind = get_text_config(model), "cpu" if model.device.type == "cpu" else "gpu"
    width = config.hidden_size
    inside = getattr(config, "intermediate_size", None)
    inside = inside if isinstance(inside, int) else 4 * width
    n_bytes = model.dtype.itemsize * (N_WIDE * width + N_INSIDE * inside + 2 * ROW_TOKENS)  # and the attention mask
    n_bytes += 3 * 4 * width  # states and weights of the tokens that follow, in float32
    if has_all_logits:
        n_vocabulary = count_rows(model.get_output_embeddings()) or config.vocab_size
        n_bytes += n_vocabulary * (model.dtype.itemsize + 3 * 4)  # the logits, and three times in float32
    free_bytes = find_free_bytes(model.device) if free_bytes is None else free_bytes
    # Sentences of one batch may be twice as long as the mean.
    most = free_bytes / 2 / (2 * n_tokens * n_bytes)
    batch_size = 1
    while 2 * batch_size <= min(most, MOST_SENTENCES[kind]):
        batch_size *= 2
    return batch_size


def find_free_bytes(device):
    """Return the free memory of a device in bytes; of a CPU, CPU_BYTES."""
    n_bytes = count_free_bytes(device)
    return CPU_BYTES if n_bytes is None else n_bytes
