"""What identifies the weights of a checkpoint: commits, checksums of files, outputs equal to the last bit.

A checkpoint on record is a dict. ``files`` holds the SHA-256 of its files by name. ``commit`` is the hub's, and
``folder`` is where a local model was. Older records lack some of them.
"""

import hashlib
import itertools
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np

from pipeline.checksums import compute_sha256

# What from_pretrained reads, in its order of preference. The first pattern that matches any file counts.
WEIGHTS = (
    r"model\.safetensors",
    r"model.*-of-\d+\.safetensors",
    r"pytorch_model\.bin",
    r"pytorch_model.*-of-\d+\.bin",
    r"(?!optimizer|scheduler|scaler|rng_state|random_states|training_args|tokenizer).*\.(safetensors|bin|pt|pth|h5)",
)
# Configuration and tokenizer: what else changes the numbers. Logs, licences, generation_config.json, chat templates and
# the like do not.
CONFIGURATION = re.compile(
    r"config\.json|tokenizer(_config)?\.json|(special_tokens_map|added_tokens)\.json|merges\.txt|.*vocab.*\.(json|txt)"
    r"|.*\.(model|tiktoken|spm)"
)
# Loading from the hub asks for these. A record without one means that the hub had none.
ALWAYS_ASKED_FOR = {"config.json", "tokenizer.json", "tokenizer_config.json"}


# ---------------------------------------------------------------- files of one checkpoint


def list_checkpoint_files(folder):
    """Return the files that make up a checkpoint in a folder, tokenizer included."""
    return sorted(
        path for path in folder.iterdir() if path.is_file() and path.suffix != ".md" and path.name[0] not in "._"
    )


def compute_checksums(folder):
    """Return the SHA-256 of the files that make up a checkpoint in a folder, by name.

    In the hub's cache, a large file is a link to a file that is named by the SHA-256 that the hub states. That
    one is not read.
    """
    return {path.name: read_hub_sha256(path) or compute_sha256(path) for path in list_checkpoint_files(folder)}


def read_hub_sha256(path):
    """Return the SHA-256 that the hub states for a file in ``snapshots/{commit}/`` of its cache, or None."""
    path = Path(os.path.abspath(path))
    if not path.is_symlink() or path.parent.parent.name != "snapshots":
        return None
    # One step only: a blob can be a link itself, to a file that is named by another kind of checksum.
    blob = Path(os.path.normpath(path.parent / os.readlink(path)))
    is_blob = blob.parent == path.parent.parent.parent / "blobs"
    return blob.name if is_blob and re.fullmatch("[0-9a-f]{64}", blob.name) else None


def select_weights(files):
    """Return those of a checkpoint's files that its weights are loaded from, a dict of SHA-256 by name."""
    for pattern in WEIGHTS:
        if weights := {name: checksum for name, checksum in files.items() if re.fullmatch(pattern, name)}:
            return weights
    return {}


def select_other_files(files):
    """Return configuration and tokenizer of a checkpoint, a dict of SHA-256 by name."""
    return {name: checksum for name, checksum in files.items() if CONFIGURATION.fullmatch(name)}


def identify(checkpoint):
    """Return what identifies a checkpoint on record, for a key: names and checksums of the files that are loaded."""
    files = checkpoint.get("files") or {}
    return sorted((select_weights(files) | select_other_files(files)).items()) or checkpoint.get("commit")


def is_same(before, now):
    """Return whether two checkpoints on record are the same one.

    They are if the commit is the same, or if weights, configuration and tokenizer are. The hub's cache holds only
    what was needed so far. There, a file that only one of both has does not count, unless loading always asks
    for it.

    Parameters
    ----------
    before, now : dict
        ``before`` as ``load_checkpoint`` returns it. ``now`` too, or what is in the hub's cache.

    Returns
    -------
    bool or None
        None where the files do not show it: one is an old record, or not all files are in the cache.
    """
    if before.get("commit") and before["commit"] == now.get("commit"):
        return True
    if not before.get("files") or not now.get("files"):
        return None
    old, new = select_other_files(before["files"]), select_other_files(now["files"])
    weights = select_weights(before["files"])
    old_weights, new_weights = Counter(weights.values()), Counter(select_weights(now["files"]).values())
    if weights and all(now["files"].get(name) == checksum for name, checksum in weights.items()):
        new_weights = old_weights  # the same weights have come in another format, too
    if not (before.get("commit") or now.get("commit")):
        return (old, old_weights) == (new, new_weights)
    added = (new.keys() - old.keys()) & ALWAYS_ASKED_FOR
    if added or any(old[name] != new[name] for name in old.keys() & new.keys()) or not new_weights <= old_weights:
        return False
    is_complete = bool(new_weights) and new_weights == old_weights
    return True if is_complete and not (old.keys() - new.keys()) & ALWAYS_ASKED_FOR else None


def describe_checkpoint(checkpoint):
    """Return what a checkpoint on record is, in a few words: its commit, its folder, or its name."""
    if checkpoint.get("commit"):
        return f"commit {checkpoint['commit'][:10]}"
    return checkpoint.get("folder") or checkpoint["model"]


# ---------------------------------------------------------------- several checkpoints


def make_fingerprints(checkpoints, checksums_of_outputs, correlations=None):
    """Return everything by which the weights of a checkpoint can be recognised.

    Two checkpoints of which one fingerprint is the same have the same weights, or a file of one was copied.

    Parameters
    ----------
    checkpoints : list of dict
        The checkpoint on record of each of its outputs.
    checksums_of_outputs : dict of str to str
        SHA-256 of outputs that no two checkpoints have in common, by what they are (``blimp``).
    correlations : float array of shape (n_layers, n_runs, n_voxels), optional
        Of the fit.

    Returns
    -------
    set of (what, checksum)
    """
    marks = {("weights", " ".join(checksums)) for checksums in map(select_weight_checksums, checkpoints) if checksums}
    marks |= set(checksums_of_outputs.items())
    if correlations is not None and any(map(is_telling, correlations)):  # of most, the first layer is enough
        checksum = hashlib.sha256(f"{correlations.shape} {correlations.dtype.str}".encode())
        checksum.update(np.ascontiguousarray(correlations).data)
        marks.add(("correlations", checksum.hexdigest()))
    return marks


def select_weight_checksums(checkpoint):
    """Return the SHA-256 of the weight files of a checkpoint on record, sorted, whatever the files are called."""
    return sorted(select_weights(checkpoint.get("files") or {}).values())


def is_telling(values):
    """Return whether some of an array's values are finite numbers that differ from each other."""
    finite = values[np.isfinite(values)]
    return finite.size > 0 and bool((finite != finite[0]).any())


def group_by_fingerprint(marks):
    """Return groups of what has a mark in common, directly or through others.

    Parameters
    ----------
    marks : dict of str to set

    Returns
    -------
    list of list of str
        In the order of ``marks``. What shares no mark is a group of its own.
    """
    together: list[tuple[list[str], set]] = []
    for name, own in marks.items():
        joined = [group for group in together if group[1] & own]
        names = [*itertools.chain.from_iterable(group[0] for group in joined), name]
        together = [group for group in together if group not in joined]
        together.append((names, set.union(own, *(group[1] for group in joined))))
    order = {name: position for position, name in enumerate(marks)}
    sorted_names = [sorted(names, key=order.__getitem__) for names, _ in together]
    return sorted(sorted_names, key=lambda names: order[names[0]])


def join_names(words):
    """Return words as one enumeration: ``a``, ``a and b``, ``a, b and c``."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


# ---------------------------------------------------------------- in sentences


def describe_same(names, on_record, stems, unfitted):
    """Return a sentence on checkpoints that have the same weights.

    Parameters
    ----------
    names : dict of str to str
        How each checkpoint is called, by stem.
    on_record : dict of str to dict
        By stem, the checkpoint on record of each output.
    stems : list of str
        Those that have the same weights.
    unfitted : list of str
        How others are called that have these weights, too, and no place in the table.
    """
    recorded = [{tuple(select_weight_checksums(one)) for one in on_record[stem].values()} - {()} for stem in stems]
    is_on_record = bool(set.intersection(*recorded))
    doubt = "" if is_on_record else " (or outputs of one were copied: they are equal to the last bit)"
    return (
        f"{join_names([*map(names.get, stems), *unfitted])} have the same weights{doubt}: they are drawn hollow and "
        "left out of every fit over training, since nobody knows which step they are"
    )


def describe_shared(names, on_record):
    """Return a sentence for every weight file that several checkpoints have, if other weight files differ."""
    weights: dict[str, dict[str, str]] = {}
    for stem, records in on_record.items():
        for files in (one["files"] for one in records.values() if one.get("files")):
            weights[stem] = select_weights(files)
    users: dict[str, list[str]] = {}
    for stem, files in weights.items():
        for checksum in set(files.values()):
            users.setdefault(checksum, []).append(stem)
    sentences: dict[tuple, list[str]] = {}
    for checksum, stems in users.items():
        if len({tuple(sorted(weights[stem].values())) for stem in stems}) > 1:
            name = next(name for name, value in weights[stems[0]].items() if value == checksum)
            sentences.setdefault(tuple(stems), []).append(name)
    return [
        f"{join_names([names[stem] for stem in stems])} share {join_names(sorted(files))}, though their other "
        "weights differ: one of them may have been uploaded wrongly"
        for stems, files in sentences.items()
    ]


def describe_mixed(names, on_record):
    """Return a sentence for every checkpoint of which outputs were made of different weights."""
    sentences = []
    for stem, records in on_record.items():
        for (path, first), (other_path, other) in itertools.combinations(records.items(), 2):
            if is_same(first, other) is False:
                sentences.append(
                    f"{path.name} and {other_path.name} of {names[stem]} were made of different weights, configuration "
                    "or tokenizer: make the older one again with --overwrite"
                )
                break
    return sentences


def describe_folders(on_record):
    """Return a sentence if checkpoints come from several folders that may be different models of one name.

    Two folders from which outputs of one checkpoint were made are the same model, which was moved.
    """
    origins = {
        stem: {folder for one in records.values() if (folder := get_model_folder(one))}
        for stem, records in on_record.items()
    }
    moved = group_by_fingerprint({stem: folders for stem, folders in origins.items() if folders})
    if len(moved) < 2 or len(folders := {min(origins[group[0]]) for group in moved}) < 2:
        return []
    return [
        f"checkpoints come from {len(folders)} folders, {join_names(sorted(folders))}, which may hold different "
        "models of the same name: give each model a study folder, or a folder name, of its own"
    ]


def get_model_folder(checkpoint):
    """Return the folder of the model of a checkpoint on record, or its name on the hub; None where it is not known."""
    if checkpoint.get("commit") or checkpoint.get("folder"):
        return checkpoint.get("folder") or checkpoint["model"]
    is_absolute = os.path.isabs(checkpoint["model"])  # an older record
    return str(Path(checkpoint["model"]).resolve()) if is_absolute else None
