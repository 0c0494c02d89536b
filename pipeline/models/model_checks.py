"""Check that a loaded model is causal before anything is computed with it.

An encoder (BERT, RoBERTa) gives numbers that look right, though every position sees the word that it predicts.
"""

import torch

from pipeline.errors import InputError, is_out_of_memory
from pipeline.models.batches import explain_model_errors
from pipeline.models.tokenization import encode_usual_text

N_SAME, N_CHANGED = 8, 8  # tokens at the beginning of both texts, and tokens after them that differ
# Differences up to this share of the logits are rounding. Both beginnings have the same shapes, so that most models
# give exactly equal logits.
ROUNDING = {torch.float32: 1e-6, torch.float64: 1e-12}
# Rounding does not explain differences above this share, in float32 and in half precision.
MOST_ROUNDING = {torch.float32: 1e-3, torch.float64: 1e-6}
MOST_ROUNDING_IN_HALF = 0.25


def check_causal(model):
    """Check that the predictions of a model in evaluation mode do not depend on later tokens.

    The model reads two rows of tokens with the same beginning and different ends. The logits of the beginning must be
    equal. Rounding may make them differ: in a mixture of experts, tokens that share an expert are summed together. Then
    the derivative of these logits with respect to the later embeddings decides. It is exactly 0 in a causal model, in
    any precision. InputError is raised if the predictions depend on later tokens, or the model cannot read a text.
    """
    ids = encode_usual_text(model, N_SAME + 2 * N_CHANGED)
    same, first, second = ids[:N_SAME], ids[N_SAME : N_SAME + N_CHANGED], ids[N_SAME + N_CHANGED :]
    rows = torch.tensor([same + first, same + second], device=model.device)
    with explain_model_errors(model, "read a text"):
        with torch.inference_mode():
            logits = model(input_ids=rows, use_cache=False).logits[:, :N_SAME].float()
        difference = ((logits[0] - logits[1]).norm() / logits[0].norm()).item()
    # Every use of the logits checks that they are finite.
    if difference > ROUNDING.get(model.dtype, 0) and _depends_on_later_tokens(model, rows[:1], difference):
        raise InputError(
            f"{type(model).__name__}: expected a causal language model, got one whose predictions change with the "
            f"words that follow (by {difference:.1g} of their size), as in an encoder. "
            "Use a model that was trained to predict the next word."
        )


def _depends_on_later_tokens(model, row, difference):
    """Return whether the first logits of a row depend on the embeddings of its later tokens.

    The row is an int tensor (1, n_tokens); the difference is the change of these logits as a share of their size.
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
            signs[:, ::2] = -1  # derivatives may cancel out in a plain sum over all logits
            (derivative,) = torch.autograd.grad((logits * signs).sum(), embeddings[:1])
        by_token = derivative.reshape(row.shape[1], -1)  # in XLNet, tokens are the first axis
        return bool((by_token[N_SAME:] != 0).any())
    except Exception as error:
        if is_out_of_memory(error):
            raise
        return False  # without a derivative, so small a difference counts as rounding
    finally:
        hook.remove()
        for parameter, is_needed in needed:
            parameter.requires_grad_(is_needed)
