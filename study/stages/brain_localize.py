"""Localise language-selective units of a model: sentences against lists of non-words."""

import numpy as np

from pipeline.errors import InputError
from pipeline.models.loading import load_checkpoint
from pipeline.similarity.localization import choose_random_units, compute_welch_t, select_top_units
from pipeline.words.vectors import compute_word_vectors
from study import paths, progress
from study.files.tables import read_csv
from study.jobs import Job
from study.outputs.brain_benchmarks import write_npz
from study.stages.threads import limit_threads

N_WORDS = 12  # of a stimulus, in the columns stim2 ... stim13; stim14 is S (sentence) or N (non-words)
KINDS = {"S": "sentences", "N": "non-words"}


def localize_units(args):
    """Write ``language_units/{stem}.npz``; args are options of ``experiments.brain_score.localize``.

    It contains ``t`` and ``p`` (n_layers, n_units), float64, ``mask`` and ``random_mask`` (n_layers, n_units), bool:
    the selected units, and as many random units of the same layers.
    """
    stem = paths.checkpoint_stem(args.model, args.revision)
    output = paths.language_units_path(stem)
    parameters = {name: getattr(args, name) for name in ("revision", "dtype", "share", "pooling", "seed")}
    with Job(
        output, parameters, modules=[__name__], inputs=args.stimuli, model=args.model, overwrite=args.overwrite
    ) as job:
        if job.is_finished:
            return
        texts = read_stimuli(args.stimuli)
        limit_threads(args.threads)
        every = [text for kind in texts.values() for text in kind]
        model, tokenizer, job.checkpoint = load_checkpoint(args.model, args.revision, args.device, args.dtype, every)
        states = {}
        with progress.bar(len(every), output.stem, "stimulus") as bar:
            for kind, stimuli in texts.items():
                states[kind] = np.stack([compute_state(model, tokenizer, text, args.pooling, bar) for text in stimuli])
        t, p = compute_welch_t(states["S"], states["N"])  # (n_layers, n_units)
        mask = select_top_units(t, args.share)
        arrays = {"t": t, "p": p, "mask": mask, "random_mask": choose_random_units(mask, args.seed)}
        job.finish({output: lambda path: write_npz(path, arrays)}, seed=args.seed)
    by_layer = ", ".join(str(number) for number in mask.sum(axis=1))
    print(f"{mask.sum()} of {mask.size} units, by layer {by_layer}, in {output}")


def compute_state(model, tokenizer, text, pooling, bar):
    """Return the states of one stimulus, (n_layers, n_units): the mean over its tokens, or its last word."""
    start = 0 if pooling == "mean" else text.rindex(" ") + 1
    vectors = compute_word_vectors(model, tokenizer, text, np.array([[start, len(text)]]))
    bar.update()
    return vectors[:, 0]


def read_stimuli(files):
    """Read stimuli in the layout of brainscore-language's localizer, a dict from S and N to lists of str.

    InputError is raised for other kinds than S and N, or fewer than two stimuli of a kind.
    """
    texts: dict[str, list[str]] = {kind: [] for kind in KINDS}
    words = [f"stim{number}" for number in range(2, N_WORDS + 2)]
    for file in files:
        table = read_csv(file, [*words, "stim14"])
        for line, *cells, kind in table.itertuples():
            if kind not in KINDS:
                raise InputError(f"{file}: line {line}: stim14: expected S or N, got {kind!r}. Correct it.")
            texts[kind].append(" ".join(cell.strip().lower() for cell in cells if cell.strip()))
    for kind, name in KINDS.items():
        if len(texts[kind]) < 2:
            raise InputError(f"{files[0]}: expected 2 {name} or more, got {len(texts[kind])}. Add files.")
    return texts
