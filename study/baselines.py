"""Name the baselines of a study: activations that the curve over training is compared with.

A baseline has no training tokens, and is never a point of a curve. Its stem, in the place of a checkpoint's stem, is
``baseline_{name}``, with ``_seed-{seed}`` where the baseline is random. ``baseline_oasm_{sigma}`` contains no text,
``baseline_static_{stem}`` is the embedding of a checkpoint, and ``{stem}_untrained-{seed}`` is the architecture of a
checkpoint with random weights.
"""

import re

ONLY_WORDS = ("length_frequency",)  # of the words of Le Petit Prince
ONLY_UNITS = ("length", "oasm")  # of the units of a story table
WITHOUT_SEED = ("word_rate", "length_frequency", "length", "position")
WITH_SEED = ("random_embedding", "random_vector")
OASM, STATIC = "oasm:", "static:"  # precede the sigma of OASM, and the model of a static baseline
NAMES = (*WITHOUT_SEED, *WITH_SEED, f"{OASM}SIGMA", f"{STATIC}MODEL")  # as on the command line
OTHER_THAN_UNTRAINED = re.compile(
    rf"baseline_(?:{'|'.join(WITHOUT_SEED)}|(?:{'|'.join(WITH_SEED)})_seed-\d+|oasm_[\d.]+|static_.+)", flags=re.S
)
UNTRAINED = re.compile(r"(?P<stem>.+)_untrained-(?P<seed>\d+)", flags=re.S)


def make_baseline_stem(name, seed=None):
    """Return the stem of a baseline.

    name is one of WITHOUT_SEED or WITH_SEED, ``oasm_`` and a number, or ``static_`` and a checkpoint's stem.

    Only a baseline WITH_SEED uses the seed, an int.
    """
    return f"baseline_{name}_seed-{seed}" if name in WITH_SEED else f"baseline_{name}"


def make_untrained_stem(stem, seed):
    """Return the stem of a checkpoint with the random weights of a seed; without a seed (None), its own stem."""
    return stem if seed is None else f"{stem}_untrained-{seed}"


def is_baseline(stem):
    """Return whether a stem of outputs is the stem of a baseline."""
    return bool(OTHER_THAN_UNTRAINED.fullmatch(stem) or UNTRAINED.fullmatch(stem))


def find_source(stem):
    """Return the stem of the checkpoint that a baseline was made from, or None for a baseline without a model."""
    if match := UNTRAINED.fullmatch(stem):
        return match["stem"]
    source = stem.removeprefix("baseline_static_")
    return source if source != stem else None
