"""Check a loaded model and its tokenizer before anything is computed with them.

Two mistakes give numbers that look right: an encoder (BERT, RoBERTa), in which every position sees
the word that it is to predict, and a tokenizer that does not split text as its own file describes.
"""

import torch

from pipeline.errors import InputError
from pipeline.models.batches import explain_model_errors, is_out_of_memory
from pipeline.models.tokenization import check_special_tokens, encode_usual_text

N_SAME, N_CHANGED = 8, 8  # tokens at the beginning of both texts, and tokens after them that differ
# Differences up to this share of the logits are rounding: the beginnings are read with the same shapes,
# so that in most models they agree to the last bit.
ROUNDING = {torch.float32: 1e-6, torch.float64: 1e-12}
# Beyond this share, no rounding explains a difference, in float32 and in half precision.
MOST_ROUNDING = {torch.float32: 1e-3, torch.float64: 1e-6}
MOST_ROUNDING_IN_HALF = 0.25


def check_model(model, tokenizer):
    """Check that a model is causal, and that its tokenizer's BOS and EOS are tokens of the model.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        In evaluation mode.
    tokenizer : transformers.PreTrainedTokenizerBase

    Raises
    ------
    InputError
        It is not so, or the model cannot read a text.
    """
    check_special_tokens(model, tokenizer)
    check_causal(model)


def check_causal(model):
    """Check that a model's predictions do not depend on what follows.

    The model reads two rows of tokens, which begin with the same tokens and end with other ones. The
    logits of the beginning must be equal. Where they differ, rounding may be the reason (in a mixture
    of experts, tokens that share an expert are added up together): then the derivative of these logits
    by the embeddings of what follows decides, which is exactly 0 in a causal model, in any precision.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        In evaluation mode.

    Raises
    ------
    InputError
        The predictions depend on what follows, or the model cannot read a text.
    """
    ids = encode_usual_text(model, N_SAME + 2 * N_CHANGED)
    same, first, second = ids[:N_SAME], ids[N_SAME : N_SAME + N_CHANGED], ids[N_SAME + N_CHANGED :]
    rows = torch.tensor([same + first, same + second], device=model.device)
    with explain_model_errors(model, "read a text"):
        with torch.inference_mode():
            logits = model(input_ids=rows, use_cache=False).logits[:, :N_SAME].float()
        difference = ((logits[0] - logits[1]).norm() / logits[0].norm()).item()
    # Logits that are not finite numbers are an error of their own, wherever they are used.
    if not difference > ROUNDING.get(model.dtype, 0):
        return
    if _depends_on_later_tokens(model, rows[:1], difference):
        raise InputError(
            f"{type(model).__name__}: expected a causal language model, got one whose predictions change with the "
            f"words that follow (by {difference:.1g} of their size), as those of an encoder do. "
            "Use a model that was trained to predict the next word."
        )


def _depends_on_later_tokens(model, row, difference):
    """Return whether the first logits of a row depend on the embeddings of its later tokens.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    row : int tensor of shape (1, n_tokens)
    difference : float
        By which share of their size the logits changed with the later tokens.
    """
    if difference > MOST_ROUNDING.get(model.dtype, MOST_ROUNDING_IN_HALF):
        return True
    embeddings = []

    def keep(module, inputs, output):
        embeddings.append(output.detach().requires_grad_())
        return embeddings[-1]

    needed = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    hook = model.get_input_embeddings().register_forward_hook(keep)
    try:
        for parameter, _ in needed:
            parameter.requires_grad_(False)
        with torch.enable_grad():
            logits = model(input_ids=row, use_cache=False).logits[0, :N_SAME].float()
            signs = torch.ones_like(logits)
            signs[:, ::2] = -1  # so that nothing cancels out, as a sum over all logits may
            (derivative,) = torch.autograd.grad((logits * signs).sum(), embeddings[:1])
        of_tokens = derivative.reshape(row.shape[1], -1)  # in XLNet, tokens come before texts
        return bool((of_tokens[N_SAME:] != 0).any())
    except Exception as error:
        if is_out_of_memory(error):
            raise
        return False  # no derivative can be had: a difference as small as this is taken for rounding
    finally:
        hook.remove()
        for parameter, is_needed in needed:
            parameter.requires_grad_(is_needed)
