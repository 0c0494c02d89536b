"""Find checkpoints with the same weights by their records and outputs."""

import contextlib
import glob

import pandas as pd

from pipeline.checksums import compute_sha256
from pipeline.errors import InputError
from pipeline.models import weights
from pipeline.tasks.table import BENCHMARKS
from study import paths
from study.checkpoints import find_training_tokens, get_name_on_record, name_checkpoints
from study.records import read_record


def mark_same_weights(checkpoints, correlations, lang):
    """Find checkpoints with the same weights, and add them to the table of checkpoints.

    Weights are the same if the checksums of their files on record are, or if outputs are equal to the last bit:
    activations (by recorded checksum), log-probabilities of a benchmark's pairs, or correlations in all layers.

    Parameters
    ----------
    checkpoints : pandas.DataFrame with columns stem, revision, ..., of one model
    correlations : list over checkpoints of array (n_layers, n_runs, n_voxels)
    lang : str

    Returns
    -------
    pandas.DataFrame with one more column, same_weights_as
        Revisions of the checkpoints with the same weights, joined by ``, ``. It may be empty.
    """
    unfitted = find_unfitted_checkpoints(checkpoints, lang)
    pairs = zip(checkpoints["stem"], correlations, strict=True)
    fingerprints = [read_fingerprints(stem, lang, values) for stem, values in pairs]
    fingerprints += [read_fingerprints(stem, lang) for stem in unfitted["stem"]]
    marked = mark_equal(pd.concat([checkpoints, unfitted]), fingerprints)
    return checkpoints.assign(same_weights_as=marked["same_weights_as"][: len(checkpoints)])


def find_unfitted_checkpoints(checkpoints, lang):
    """Find further checkpoints of the model that have records and known training tokens: stem and revision."""
    rows: dict[str, str] = {}
    pairs = zip(checkpoints["stem"], checkpoints["revision"], strict=True)
    for name in {get_name_on_record(stem, {"revision": revision}) for stem, revision in pairs}:
        stem = f"{glob.escape(name)}_*"
        benchmark_paths = [paths.benchmark_path(stem, benchmark) for benchmark in BENCHMARKS]
        for pattern in [paths.activations_path(stem, lang), *benchmark_paths]:
            for path in pattern.parent.glob(pattern.name):
                stem = path.name.removesuffix(pattern.name.rpartition("*")[2])
                checkpoint = read_record(path).get("checkpoint") or {}
                is_same_model = bool(checkpoint.get("revision")) and get_name_on_record(stem, checkpoint) == name
                if is_same_model and find_training_tokens(name, checkpoint["revision"]) is not None:
                    rows[stem] = checkpoint["revision"]
    table = pd.DataFrame(rows.items(), columns=["stem", "revision"])
    return table[~table["stem"].isin(checkpoints["stem"])]


def mark_equal(checkpoints, fingerprints):
    """Return the table of checkpoints with the column same_weights_as, from a set of fingerprints for each."""
    fingerprints_by_stem = dict(zip(checkpoints["stem"], fingerprints, strict=True))
    names = name_checkpoints(checkpoints)
    same_weights_as = {
        stem: ", ".join(names[member] for member in group if member != stem)
        for group in weights.group_by_fingerprint(fingerprints_by_stem)
        for stem in group
    }
    return checkpoints.assign(same_weights_as=checkpoints["stem"].map(same_weights_as))


def read_fingerprints(stem, lang, correlations=None):
    """Read the fingerprints of a checkpoint's weights (see ``weights.make_fingerprints``)."""
    checksums = {}
    for benchmark in BENCHMARKS:
        pairs = paths.benchmark_pairs_path(stem, benchmark)
        recorded = read_record(paths.benchmark_path(stem, benchmark)).get("sha256", {}).get(pairs.name)
        if pairs.is_file():
            checksums[benchmark] = recorded or compute_sha256(pairs)
    activations = paths.activations_path(stem, lang)
    if recorded := read_record(activations).get("sha256", {}).get(activations.name):
        checksums["activations"] = recorded
    return weights.make_fingerprints(read_checkpoints(stem).values(), checksums, correlations)


def read_checkpoints(stem):
    """Read the checkpoint on record of every output of a checkpoint, by path; of texts, only of the first."""
    first_text = paths.generated_text_path(stem, 0, 0, paths.generated_texts_folder())
    outputs = [path for path in paths.outputs_of_checkpoint(stem) if path.suffix != first_text.suffix]
    checkpoints = {}
    for path in [*outputs, first_text]:
        with contextlib.suppress(InputError):  # --check reports damaged records
            if checkpoint := read_record(path).get("checkpoint"):
                checkpoints[path] = checkpoint
    return checkpoints


def describe_weights(checkpoints):
    """Describe weights that checkpoints of a model share, and outputs made from different weights.

    Return a sentence for each group of checkpoints with the same weights, for each shared weight file, for outputs of
    a checkpoint that were made from different weights, and for several folders of one model name. ``checkpoints`` has
    the columns stem, revision and, from ``mark_same_weights``, same_weights_as.
    """
    on_record = {stem: read_checkpoints(stem) for stem in checkpoints["stem"]}
    names = name_checkpoints(checkpoints)
    together: dict[tuple, list[str]] = {}
    marks = checkpoints["same_weights_as"] if "same_weights_as" in checkpoints else [""] * len(checkpoints)
    for stem, mark in zip(checkpoints["stem"], marks, strict=True):
        if mark:
            group = f"{names[stem]}, {mark}".split(", ")
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
