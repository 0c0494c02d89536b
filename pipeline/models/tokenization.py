"""From text to token ids, and the limits of what a model can read.

A sentence or a prompt is read after one BOS, or after EOS where the tokenizer has no BOS. Every
token id must have a row in the model's embedding, and every position one in its position table.
"""

import weakref

import torch
from torch.overrides import TorchFunctionMode

from pipeline.errors import InputError
from pipeline.models.batches import explain_model_errors

# What configurations call the number of positions. Models without such a limit (ALiBi, recurrence) lack all of them.
CONTEXT_NAMES = ("max_position_embeddings", "n_positions", "max_seq_len", "max_target_positions")
N_READ = 4  # tokens that are read to find a model's position table

_table_lengths: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # found once for each model


def get_text_config(model):
    """Return the part of a model's configuration that describes how it reads text.

    Parameters
    ----------
    model : transformers.PreTrainedModel

    Returns
    -------
    transformers.PreTrainedConfig
        ``config.text_config`` of models that read more than text (Gemma 3), else ``config``.
    """
    return model.config.get_text_config(decoder=True)


def get_bos_id(tokenizer):
    """Return the id of the token that stands before every text: BOS, or EOS where there is no BOS.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase

    Returns
    -------
    int

    Raises
    ------
    InputError
        The tokenizer has neither, or its vocabulary lacks the token that it names.
    """
    for kind in ("bos", "eos"):
        token, number = getattr(tokenizer, f"{kind}_token"), getattr(tokenizer, f"{kind}_token_id")
        if token is None:
            continue
        # A token that the vocabulary lacks is silently read as the unknown token.
        if number is None or tokenizer.convert_ids_to_tokens(number) != str(token):
            raise InputError(
                f"tokenizer: expected its {kind.upper()} {str(token)!r} in the vocabulary, got no such token. "
                f"Correct {kind}_token in tokenizer_config.json."
            )
        return number
    raise InputError("the tokenizer has neither BOS nor EOS to start a sentence with")


def count_rows(layer):
    """Return the number of tokens that an embedding or an output layer knows, or None where it has no weights."""
    weight = getattr(layer, "weight", None)
    return None if weight is None else len(weight)


def check_special_tokens(model, tokenizer):
    """Check that BOS and EOS have a row in the model's embedding.

    Raises
    ------
    InputError
        One lies outside.
    """
    n_known = count_rows(model.get_input_embeddings())
    for kind in ("bos", "eos"):
        number = getattr(tokenizer, f"{kind}_token_id")
        if n_known is not None and number is not None and number >= n_known:
            raise InputError(
                f"tokenizer: expected its {kind.upper()} {getattr(tokenizer, f'{kind}_token')!r} among the {n_known} "
                f"tokens of the model's embedding, got number {number}. Use the tokenizer that belongs to the model."
            )


def check_token_ids(token_ids, text, model, tokenizer, layers=("input",)):
    """Check that every token of a text has a row in the model's embedding.

    Parameters
    ----------
    token_ids : sequence of int
    text : str
        Shown in the error.
    model : transformers.PreTrainedModel
    tokenizer : transformers.PreTrainedTokenizerBase
    layers : tuple of {"input", "output"}
        ``output`` where tokens are also predicted.

    Raises
    ------
    InputError
        A token has none: it was added to the tokenizer, and the model does not know it.
    """
    if len(token_ids) == 0:
        return
    largest = max(token_ids)
    for layer in layers:
        n_known = count_rows(getattr(model, f"get_{layer}_embeddings")())
        if n_known is not None and largest >= n_known:
            token = tokenizer.convert_ids_to_tokens(int(largest))
            raise InputError(
                f"the text {text[:60]!r}: expected tokens of the model, got {token!r}, number {largest}, where its "
                f"{layer} embedding has {n_known}. Take the token out of the text, or out of the tokenizer."
            )


def encode_after_bos(texts, model, tokenizer):
    """Return the token ids of texts, each after one BOS.

    Parameters
    ----------
    texts : sequence of n_texts str
        A text that is written with BOS is not given another one.
    model : transformers.PreTrainedModel
    tokenizer : transformers.PreTrainedTokenizerFast

    Returns
    -------
    list of n_texts lists of int

    Raises
    ------
    InputError
        The tokenizer has neither BOS nor EOS, or the model does not know a token.
    """
    bos, texts = get_bos_id(tokenizer), list(texts)
    ids_of_texts = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    for ids, text in zip(ids_of_texts, texts, strict=True):
        check_token_ids(ids, text, model, tokenizer, ("input", "output"))
    return [[bos, *ids[ids[:1] == [bos] :]] for ids in ids_of_texts]


def encode_usual_text(model, n_tokens):
    """Return different token ids from all over a model's vocabulary, none of which its configuration calls special.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    n_tokens : int

    Returns
    -------
    list of n_tokens int
        In no order.

    Raises
    ------
    InputError
        The vocabulary is too small.
    """
    n_known = count_rows(model.get_input_embeddings()) or get_text_config(model).vocab_size
    special: set[int] = set()
    for config in (model.config, get_text_config(model)):
        for name, value in config.to_dict().items():
            if name.endswith(("_token_id", "_token_index", "_index")) and value is not None:
                special.update(value if isinstance(value, list | tuple) else [value])
    usual = [number for number in range(n_known) if number not in special]
    if len(usual) < n_tokens:
        raise InputError(f"{type(model).__name__}: expected {n_tokens} tokens or more, got {len(usual)}.")
    spread = usual[:: len(usual) // n_tokens][:n_tokens]
    return spread[1::2] + spread[::2]


def find_context_length(model):
    """Return the number of tokens that a model can read at once, BOS included.

    The configuration's number, or the rows of the model's table of learned positions where they are
    fewer: RoBERTa's 514 rows hold 512 positions, since the first two are not used.

    Parameters
    ----------
    model : transformers.PreTrainedModel

    Returns
    -------
    int or None
        None for a model without a limit (ALiBi, recurrent models).
    """
    config = get_text_config(model)
    named = [getattr(config, name, None) for name in CONTEXT_NAMES]
    limits = [number for number in named if isinstance(number, int) and number > 0]  # XLNet has -1
    if model not in _table_lengths:
        _table_lengths[model] = _n_learned_positions(model)
    if (n_positions := _table_lengths[model]) is not None:
        limits.append(n_positions)
    return min(limits, default=None)


class _PositionTables(TorchFunctionMode):
    """Note the tables that are looked up at consecutive places, as only positions are."""

    def __init__(self):
        super().__init__()
        self.lengths = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is torch.nn.functional.embedding and len(args) >= 2:
            places, table = args[:2]
            if places.ndim and places.shape[-1] == N_READ:
                first = places.flatten()[0]
                if bool((places == first + torch.arange(N_READ, device=places.device)).all()):
                    self.lengths.append(len(table) - int(first))
        return function(*args, **(kwargs or {}))


def _n_learned_positions(model):
    """Return the positions that a model's own table has, or None for a model without a table."""
    ids = torch.tensor([encode_usual_text(model, N_READ)], device=model.device)
    tables = _PositionTables()
    with explain_model_errors(model, "read a text"), tables, torch.inference_mode():
        model(input_ids=ids)
    return min(tables.lengths, default=None)
