"""Find checkpoints of a study that have the same weights, by their records and outputs."""

import contextlib
import glob

import pandas as pd

from pipeline.checksums import compute_sha256
from pipeline.errors import InputError
from pipeline.models import weights
from pipeline.tasks.table import BENCHMARKS
from study.checkpoints import find_training_tokens, get_name_on_record, name_checkpoints
from study.paths import (
    activations_path,
    benchmark_pairs_path,
    benchmark_path,
    generated_text_path,
    generated_texts_folder,
    outputs_of_checkpoint,
)
from study.records import read_record


def mark_same_weights(checkpoints, correlations, lang):
    """Return the table of checkpoints with a column that names others that have the same weights.

    Weights are the same if the checksums of their files on record are, or if outputs are equal to the last bit:
    recorded checksums of activations, log-probabilities of a benchmark's pairs, or correlations in all layers.

    Parameters
    ----------
    checkpoints : pandas.DataFrame with columns stem, revision, ...
        Checkpoints of one model.
    correlations : list over checkpoints of array of shape (n_layers, n_runs, n_voxels)
        As ``read_all_correlations`` returns it.
    lang : str

    Returns
    -------
    pandas.DataFrame with one more column, same_weights_as
        Revisions of the others, joined by ``, ``. It is empty where a checkpoint has weights of its own.
    """
    pairs = zip(checkpoints["stem"], correlations, strict=True)
    fingerprints = [read_fingerprints(stem, lang, of_stem) for stem, of_stem in pairs]
    others = find_unfitted_checkpoints(checkpoints, lang)
    fingerprints += [read_fingerprints(stem, lang) for stem in others["stem"]]
    every = pd.concat([checkpoints, others])
    return checkpoints.assign(same_weights_as=mark_equal(every, fingerprints)["same_weights_as"][: len(checkpoints)])


def find_unfitted_checkpoints(checkpoints, lang):
    """Return what other checkpoints of a model have outputs on record: stem and revision, where tokens are known."""
    rows: dict[str, str] = {}
    names = {
        get_name_on_record(stem, {"revision": revision})
        for stem, revision in checkpoints[["stem", "revision"]].itertuples(index=False)
    }
    for name in names:
        paths = [activations_path(f"{name}_*", lang), *(benchmark_path(f"{name}_*", each) for each in BENCHMARKS)]
        for pattern in paths:
            before, after = pattern.name.split("*")
            for path in pattern.parent.glob(f"{glob.escape(before)}*{after}"):
                stem = path.name.removesuffix(after)
                checkpoint = read_record(path).get("checkpoint") or {}
                is_same_model = bool(checkpoint.get("revision")) and get_name_on_record(stem, checkpoint) == name
                if is_same_model and find_training_tokens(name, checkpoint["revision"]) is not None:
                    rows[stem] = checkpoint["revision"]
    others = pd.DataFrame(rows.items(), columns=["stem", "revision"])
    return others[~others["stem"].isin(checkpoints["stem"])]


def mark_equal(checkpoints, fingerprints):
    """Return the table of checkpoints with the column same_weights_as, from a set of fingerprints for each."""
    of_stems = dict(zip(checkpoints["stem"], fingerprints, strict=True))
    names = name_checkpoints(checkpoints)
    others = {
        stem: ", ".join(names[other] for other in group if other != stem)
        for group in weights.group_by_fingerprint(of_stems)
        for stem in group
    }
    return checkpoints.assign(same_weights_as=[others[stem] for stem in checkpoints["stem"]])


def read_fingerprints(stem, lang, correlations=None):
    """Return by what the weights of a checkpoint can be recognised (see ``weights.fingerprints``)."""
    checksums = {}
    for benchmark in BENCHMARKS:
        pairs = benchmark_pairs_path(stem, benchmark)
        recorded = read_record(benchmark_path(stem, benchmark)).get("sha256", {}).get(pairs.name)
        if pairs.is_file():
            checksums[benchmark] = recorded or compute_sha256(pairs)
    activations = activations_path(stem, lang)
    if recorded := read_record(activations).get("sha256", {}).get(activations.name):
        checksums["activations"] = recorded
    return weights.make_fingerprints(read_checkpoints(stem).values(), checksums, correlations)


def read_checkpoints(stem):
    """Return the checkpoint on record of every output of a checkpoint, by path; of texts, the first one's."""
    first_text = generated_text_path(stem, 0, 0, generated_texts_folder())
    paths = [path for path in outputs_of_checkpoint(stem) if path.suffix != first_text.suffix]
    checkpoints = {}
    for path in [*paths, first_text]:
        with contextlib.suppress(InputError):  # a damaged record does not hide the others; --check names it
            if checkpoint := read_record(path).get("checkpoint"):
                checkpoints[path] = checkpoint
    return checkpoints


def describe_weights(checkpoints):
    """Return what readers must know about the weights of the checkpoints of a model.

    Parameters
    ----------
    checkpoints : pandas.DataFrame with columns stem, revision and, from ``mark_same_weights``, same_weights_as

    Returns
    -------
    list of str
        A sentence for each group of checkpoints of the same weights, for weights that are partly the same, for
        outputs of one checkpoint that were made of different weights, and for two folders of one name.
    """
    on_record = {stem: read_checkpoints(stem) for stem in checkpoints["stem"]}
    names = name_checkpoints(checkpoints)
    together: dict[tuple, list[str]] = {}
    marks = checkpoints["same_weights_as"] if "same_weights_as" in checkpoints else [""] * len(checkpoints)
    for stem, others in zip(checkpoints["stem"], marks, strict=True):
        if others:
            group = f"{names[stem]}, {others}".split(", ")
            together.setdefault(tuple(sorted(group)), []).append(stem)
    same = []
    for names_of_group, stems in together.items():
        unfitted = [name for name in names_of_group if name not in map(names.get, stems)]
        same.append(weights.describe_same(names, on_record, stems, unfitted))
    return [
        *same,
        *weights.describe_shared(names, on_record),
        *weights.describe_mixed(names, on_record),
        *weights.describe_folders(on_record),
    ]
