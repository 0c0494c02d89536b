"""Convert text to token ids, and check that a model can read them.

A sentence or a prompt is read after one BOS, or after EOS where the tokenizer has no BOS. Every token id must have a
row in the model's embedding. Every position must have a row in its table of positions.
"""

import torch
from torch.overrides import TorchFunctionMode

from pipeline.errors import InputError
from pipeline.models.batches import explain_model_errors

# Names of the number of positions in configurations. Models without a limit (ALiBi, recurrence) have none of them.
CONTEXT_NAMES = ("max_position_embeddings", "n_positions", "max_seq_len", "max_target_positions")
N_READ = 4  # tokens that are read to find a model's table of positions
DAMAGED_OR_OVERFLOW = "Get the checkpoint again, or use --dtype float32."


def get_text_config(model):
    """Return the configuration of a model's text part: ``config.text_config`` of Gemma 3, ``config`` of most models."""
    return model.config.get_text_config(decoder=True)


def get_bos_id(tokenizer):
    """Return the id of the token that stands before every text, an int: BOS, or EOS where BOS is missing."""
    for kind in ("bos", "eos"):
        token, token_id = getattr(tokenizer, f"{kind}_token"), getattr(tokenizer, f"{kind}_token_id")
        if token is None:
            continue
        # Transformers silently reads a token that the vocabulary lacks as the unknown token.
        if token_id is None or tokenizer.convert_ids_to_tokens(token_id) != str(token):
            raise InputError(
                f"tokenizer: expected its {kind.upper()} {str(token)!r} in the vocabulary, got a vocabulary without "
                f"it. Correct {kind}_token in tokenizer_config.json."
            )
        return token_id
    raise InputError("tokenizer: expected a BOS or an EOS, got neither BOS nor EOS. Add one to tokenizer_config.json.")


def count_rows(layer):
    """Return the number of tokens in an embedding or an output layer, or None where the layer has no weights."""
    weight = getattr(layer, "weight", None)
    return None if weight is None else len(weight)


def check_special_tokens(model, tokenizer):
    """Check that BOS and EOS have a row in the model's embedding; raise InputError otherwise."""
    n_rows = count_rows(model.get_input_embeddings())
    for kind in ("bos", "eos"):
        token_id = getattr(tokenizer, f"{kind}_token_id")
        if n_rows is not None and token_id is not None and token_id >= n_rows:
            raise InputError(
                f"tokenizer: expected its {kind.upper()} {getattr(tokenizer, f'{kind}_token')!r} among the {n_rows} "
                f"tokens of the model's embedding, got number {token_id}. Use the tokenizer of the model."
            )


def check_token_ids(token_ids, text, model, tokenizer, layers=("input",)):
    """Check that every token of a text has a row in the model's embedding.

    InputError is raised if a token has no row, since it was added to the tokenizer, but not to the model.

    Parameters
    ----------
    token_ids : sequence of int
    text : str, shown in the error
    model : transformers.PreTrainedModel
    tokenizer : transformers.PreTrainedTokenizerBase
    layers : tuple of {"input", "output"}; with ``output`` where tokens are also predicted
    """
    largest = max(token_ids, default=-1)
    for layer in layers:
        n_rows = count_rows(getattr(model, f"get_{layer}_embeddings")())
        if n_rows is not None and largest >= n_rows:
            token = tokenizer.convert_ids_to_tokens(int(largest))
            raise InputError(
                f"the text {text[:60]!r}: expected tokens of the model, got {token!r}, number {largest}, while its "
                f"{layer} embedding has {n_rows}. Remove the token from the text or from the tokenizer."
            )


def encode_texts(texts, model, tokenizer):
    """Return the token ids of texts without special tokens around them, a list of n_texts lists of int.

    InputError is raised if a token has no row in the model. The arguments are as for ``encode_after_bos``.
    """
    texts = list(texts)
    options = {"add_special_tokens": False, "return_attention_mask": False, "return_token_type_ids": False}
    ids_of_texts = tokenizer(texts, verbose=False, **options)["input_ids"]
    counts = map(count_rows, (model.get_input_embeddings(), model.get_output_embeddings()))
    n_rows = min((count for count in counts if count is not None), default=None)
    for ids, text in zip(ids_of_texts, texts, strict=True):
        if n_rows is not None and max(ids, default=-1) >= n_rows:
            check_token_ids(ids, text, model, tokenizer, ("input", "output"))
    return ids_of_texts


def encode_after_bos(texts, model, tokenizer):
    """Return the token ids of texts, each after one BOS.

    InputError is raised if the tokenizer has neither BOS nor EOS, or a token has no row in the model.

    Parameters
    ----------
    texts : sequence of n_texts str; a text that begins with BOS gets no second BOS
    model : transformers.PreTrainedModel
    tokenizer : transformers.PreTrainedTokenizerFast

    Returns
    -------
    list of n_texts lists of int
    """
    bos = get_bos_id(tokenizer)
    return [[bos, *ids[ids[:1] == [bos] :]] for ids in encode_texts(texts, model, tokenizer)]


def encode_usual_text(model, n_tokens):
    """Return a list of n_tokens distinct ids, not sorted, from a model's whole vocabulary, without special tokens."""
    n_rows = count_rows(model.get_input_embeddings()) or get_text_config(model).vocab_size
    special: set[int] = set()
    for config in (model.config, get_text_config(model)):
        for name, value in config.to_dict().items():
            if name.endswith(("_token_id", "_token_index", "_index")) and value is not None:
                special.update(value if isinstance(value, list | tuple) else [value])
    usual = [token_id for token_id in range(n_rows) if token_id not in special]
    if len(usual) < n_tokens:
        raise InputError(f"{type(model).__name__}: expected {n_tokens} tokens or more, got {len(usual)}.")
    spread = usual[:: len(usual) // n_tokens][:n_tokens]
    return spread[1::2] + spread[::2]


def find_context_length(model):
    """Return the number of tokens that a model can read at once, BOS included, an int or None.

    This is the number in the configuration, or the usable rows of the model's table of learned positions where they
    are fewer. RoBERTa's 514 rows contain 512 positions, since the first two are not used. It is None for a model
    without a limit (ALiBi, recurrent models).

    The model reads a few tokens to find the table: call this once for each piece of work.
    """
    config = get_text_config(model)
    configured = [getattr(config, name, None) for name in CONTEXT_NAMES]
    limits = [limit for limit in configured if isinstance(limit, int) and limit > 0]  # XLNet has -1
    ids = torch.tensor([encode_usual_text(model, N_READ)], device=model.device)
    tables = _PositionTables()
    with explain_model_errors(model, "read a text"), tables, torch.inference_mode():
        model(input_ids=ids)
    return min([*limits, *tables.lengths], default=None)


def check_context_length(n_tokens, context, source, remedy):
    """Check that tokens fit in a model's context.

    InputError is raised if there are more tokens than the context has.

    Parameters
    ----------
    n_tokens : int, BOS included
    context : int or None, as ``find_context_length`` returns it
    source, remedy : str, the text or option, and the last sentence, of the error
    """
    if context is not None and n_tokens > context:
        raise InputError(f"{source}: expected {context} tokens at most, the model's context, got {n_tokens}. {remedy}")


def check_finite(values, source, remedy=DAMAGED_OR_OVERFLOW):
    """Check that all numbers that a model computed are finite.

    InputError is raised if a number is NaN or infinite.

    Parameters
    ----------
    values : array or tensor
    source, remedy : str, the name of the numbers, and the last sentence, of the error
    """
    if not torch.isfinite(torch.as_tensor(values)).all():
        raise InputError(f"{source}: expected finite numbers, got NaN or infinity. {remedy}")


class _PositionTables(TorchFunctionMode):
    """Record the lengths of tables that are read at consecutive rows, as only tables of positions are."""

    def __init__(self):
        super().__init__()
        self.lengths = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is torch.nn.functional.embedding and len(args) >= 2:
            rows, table = args[:2]
            if rows.ndim and rows.shape[-1] == N_READ:
                first = rows.flatten()[0]
                if bool((rows == first + torch.arange(N_READ, device=rows.device)).all()):
                    self.lengths.append(len(table) - int(first))
        return function(*args, **(kwargs or {}))
