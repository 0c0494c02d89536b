"""Draw noise for tokens from hashed numbers, the same on every device and in every batch.

The largest logit plus Gumbel noise is a draw with the model's probability. A change of logits by 1e-5 changes one in
100,000 such draws. A draw by the cumulative distribution would change where any earlier logit changes: for a Zipf
distribution of 100,000 tokens, in 3 % of the draws.

A generator on the CPU would draw 100,000 numbers for each token, and copy them to the GPU. Here a text's generator
draws two keys for each token. Whole-number arithmetic, which is exact on every device, mixes the keys with each row of
the vocabulary.
"""

import torch

SERIAL = 16_384  # numbers that PyTorch computes on the CPU without starting threads
# Steps of the finalizer of MurmurHash3: bits of a shift, and a factor as a signed number of 32 bits.
MIXING = ((16, 0x85EBCA6B - 2**32), (13, 0xC2B2AE35 - 2**32), (16, 1))


def draw_keys(seeds, n_tokens, device="cpu"):
    """Return the keys of tokens, an int32 tensor (n_texts, n_tokens, 2); each text has its own seed (int)."""
    keys = torch.empty(len(seeds), n_tokens, 2, dtype=torch.int32)
    for row, seed in zip(keys, seeds, strict=True):
        row.random_(-(2**31), 2**31, generator=torch.Generator().manual_seed(seed))
    return keys.to(device)


def make_noise(keys, n_vocabulary):
    """Compute Gumbel noise from keys.

    Parameters
    ----------
    keys : int32 tensor (n_texts, 2), of one token of each text

    Returns
    -------
    float32 tensor (n_texts, n_vocabulary) on the device of the keys
        Each value is between -2.9 and 22.2: the uniform number behind it has 31 bits.
    """
    rows = torch.arange(n_vocabulary, dtype=torch.int32, device=keys.device)
    noise = torch.empty(len(keys), n_vocabulary, device=keys.device)
    n_columns = max(1, SERIAL // len(keys)) if keys.device.type == "cpu" else n_vocabulary
    for some, values in zip(rows.split(n_columns), noise.split(n_columns, dim=1), strict=True):
        mixed = _mix(_mix(some ^ keys[:, :1]).add_(keys[:, 1:]))
        # Whole numbers from 0 on: float32 is exact for small numbers, which win, and not for numbers near -2^31.
        values.copy_(mixed.bitwise_and_(2**31 - 1))
    uniform = noise.add_(0.5).mul_(2**-31).clamp_(max=1 - 2**-24)  # strictly between 0 and 1
    return uniform.neg_().log1p_().neg_().log_().neg_()


def _mix(numbers):
    """Mix the bits of an int32 tensor in place, one-to-one."""
    for n_bits, factor in MIXING:
        shifted = numbers >> n_bits
        numbers ^= shifted.bitwise_and_(2 ** (32 - n_bits) - 1)  # without the sign
        if factor != 1:
            numbers *= factor
    return numbers
