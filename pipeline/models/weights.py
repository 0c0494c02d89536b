"""Identify the weights of a checkpoint by commits, checksums of files, and outputs equal to the last bit.

A checkpoint on record is a dict, as ``loading.load_checkpoint`` returns it. ``files`` contains the SHA-256 of its files
by name. ``commit`` is the commit on the hub, and ``folder`` the folder of a local model. Older records lack some keys.
"""

import hashlib
import itertools
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np

from pipeline.checksums import compute_sha256
from pipeline.wording import join_names

# Files that from_pretrained reads, in its order of preference. The first pattern that matches any file counts.
WEIGHTS = (
    r"model\.safetensors",
    r"model.*-of-\d+\.safetensors",
    r"pytorch_model\.bin",
    r"pytorch_model.*-of-\d+\.bin",
    r"(?!optimizer|scheduler|scaler|rng_state|random_states|training_args|tokenizer).*\.(safetensors|bin|pt|pth|h5)",
)
# Configuration and tokenizer, which change the numbers too. Logs, licences, generation_config.json, chat templates and
# the like do not.
CONFIGURATION = re.compile(
    r"config\.json|tokenizer(_config)?\.json|(special_tokens_map|added_tokens)\.json|merges\.txt|.*vocab.*\.(json|txt)"
    r"|.*\.(model|tiktoken|spm)"
)
# Loading from the hub always requests these files. A record without one of them means that the hub had none.
ALWAYS_ASKED_FOR = {"config.json", "tokenizer.json", "tokenizer_config.json"}


# ---------------------------------------------------------------- files of one checkpoint


def list_checkpoint_files(folder):
    """Return the files of a checkpoint in a folder, including the tokenizer, sorted."""
    return sorted(
        path for path in folder.iterdir() if path.is_file() and path.suffix != ".md" and path.name[0] not in "._"
    )


def compute_checksums(folder):
    """Compute the SHA-256 of the files of a checkpoint in a folder.

    In the hub's cache, a large file is a link to a file whose name is its SHA-256. Such a file is not read.

    Parameters
    ----------
    folder : pathlib.Path

    Returns
    -------
    dict of str to str
        SHA-256 by file name.
    """
    return {path.name: read_hub_sha256(path) or compute_sha256(path) for path in list_checkpoint_files(folder)}


def read_hub_sha256(path):
    """Read the SHA-256 of a file in ``snapshots/{commit}/`` of the hub's cache from the name of its target, or None."""
    path = Path(os.path.abspath(path))
    if not path.is_symlink() or path.parent.parent.name != "snapshots":
        return None
    # Only the first link is followed: a blob can be a link to a file that is named by another kind of checksum.
    blob = Path(os.path.normpath(path.parent / os.readlink(path)))
    is_blob = blob.parent == path.parent.parent.parent / "blobs"
    return blob.name if is_blob and re.fullmatch("[0-9a-f]{64}", blob.name) else None


def select_weights(files):
    """Select the files that the weights of a checkpoint are loaded from, a dict of SHA-256 by name."""
    for pattern in WEIGHTS:
        if weights := {name: checksum for name, checksum in files.items() if re.fullmatch(pattern, name)}:
            return weights
    return {}


def select_other_files(files):
    """Select configuration and tokenizer of a checkpoint, a dict of SHA-256 by name."""
    return {name: checksum for name, checksum in files.items() if CONFIGURATION.fullmatch(name)}


def identify(checkpoint):
    """Return a key of a checkpoint on record: names and checksums of the files that are loaded, or its commit."""
    files = checkpoint.get("files") or {}
    return sorted((select_weights(files) | select_other_files(files)).items()) or checkpoint.get("commit")


def is_same(before, now):
    """Return whether two checkpoints on record are the same.

    They are the same if the commits are equal, or if weights, configuration and tokenizer are. The hub's cache contains
    only files that were requested. So a file of the hub that only one of both has is ignored, unless loading always
    requests it.

    Parameters
    ----------
    before, now : dict
        As ``load_checkpoint`` returns them. ``now`` may also be the content of the hub's cache.

    Returns
    -------
    bool or None
        None where this is unknown: a record is old, or the cache lacks files.
    """
    if before.get("commit") and before["commit"] == now.get("commit"):
        return True
    if not before.get("files") or not now.get("files"):
        return None
    old, new = select_other_files(before["files"]), select_other_files(now["files"])
    weights = select_weights(before["files"])
    old_weights, new_weights = Counter(weights.values()), Counter(select_weights(now["files"]).values())
    if weights and all(now["files"].get(name) == checksum for name, checksum in weights.items()):
        new_weights = old_weights  # the same weights, and another format of them
    if not (before.get("commit") or now.get("commit")):
        return (old, old_weights) == (new, new_weights)
    added = (new.keys() - old.keys()) & ALWAYS_ASKED_FOR
    if added or any(old[name] != new[name] for name in old.keys() & new.keys()) or not new_weights <= old_weights:
        return False
    is_complete = bool(new_weights) and new_weights == old_weights
    return True if is_complete and not (old.keys() - new.keys()) & ALWAYS_ASKED_FOR else None


def describe_checkpoint(checkpoint):
    """Describe a checkpoint on record by its commit, its folder, or its name."""
    if checkpoint.get("commit"):
        return f"commit {checkpoint['commit'][:10]}"
    return checkpoint.get("folder") or checkpoint["model"]


# ---------------------------------------------------------------- several checkpoints


def make_fingerprints(checkpoints, checksums_of_outputs, correlations=None):
    """Make all fingerprints of the weights of a checkpoint.

    Two checkpoints with a fingerprint in common have the same weights, or a file of one was copied.

    Parameters
    ----------
    checkpoints : list of dict
        The checkpoint on record of each of its outputs.
    checksums_of_outputs : dict of str to str
        SHA-256 of outputs that differ between checkpoints, by kind (``blimp``).
    correlations : float array of shape (n_layers, n_runs, n_voxels), optional
        Correlations of the fit.

    Returns
    -------
    set of (kind, checksum)
    """
    weights = (("weights", " ".join(_weight_checksums(checkpoint))) for checkpoint in checkpoints)
    fingerprints = {fingerprint for fingerprint in weights if fingerprint[1]} | set(checksums_of_outputs.items())
    if correlations is not None and any(map(has_different_values, correlations)):
        checksum = hashlib.sha256(f"{correlations.shape} {correlations.dtype.str}".encode())
        checksum.update(np.ascontiguousarray(correlations).data)
        fingerprints.add(("correlations", checksum.hexdigest()))
    return fingerprints


def _weight_checksums(checkpoint):
    """Return the SHA-256 of the weight files of a checkpoint on record, a sorted tuple without their names."""
    return tuple(sorted(select_weights(checkpoint.get("files") or {}).values()))


def has_different_values(values):
    """Return whether an array contains finite numbers that differ from each other."""
    finite = values[np.isfinite(values)]
    return finite.size > 0 and bool((finite != finite[0]).any())


def group_by_fingerprint(fingerprints):
    """Group checkpoints that have a fingerprint in common, directly or through other checkpoints.

    Parameters
    ----------
    fingerprints : dict of str to set
        By checkpoint.

    Returns
    -------
    list of list of str
        In the order of ``fingerprints``. A checkpoint without a common fingerprint is a group of its own.
    """
    groups: list[tuple[list[str], set]] = []
    for name, own in fingerprints.items():
        joined = [group for group in groups if group[1] & own]
        names = [*itertools.chain.from_iterable(group[0] for group in joined), name]
        groups = [group for group in groups if group not in joined]
        groups.append((names, set.union(own, *(group[1] for group in joined))))
    order = {name: position for position, name in enumerate(fingerprints)}
    sorted_names = [sorted(names, key=order.__getitem__) for names, _ in groups]
    return sorted(sorted_names, key=lambda names: order[names[0]])


# ---------------------------------------------------------------- in sentences


def describe_same(names, on_record, stems, unfitted):
    """Describe checkpoints that have the same weights.

    Parameters
    ----------
    names : dict of str to str
        Name of each checkpoint, by stem.
    on_record : dict of str to dict
        By stem, the checkpoint on record of each output.
    stems : list of str
        Checkpoints with the same weights.
    unfitted : list of str
        Names of checkpoints with the same weights that have not been fitted.

    Returns
    -------
    str
        A sentence without a full stop.
    """
    recorded = [set(map(_weight_checksums, on_record[stem].values())) - {()} for stem in stems]
    is_on_record = bool(set.intersection(*recorded))
    doubt = "" if is_on_record else " (or outputs of one were copied: they are equal to the last bit)"
    return (
        f"{join_names([*map(names.get, stems), *unfitted])} have the same weights{doubt}: they are drawn hollow and "
        "left out of every fit over training, since their step is unknown"
    )


def describe_shared(names, on_record):
    """Describe weight files that are the same in checkpoints whose other weight files differ, a list of str."""
    weights: dict[str, dict[str, str]] = {}
    for stem, records in on_record.items():
        for checkpoint in records.values():
            if checkpoint.get("files"):
                weights[stem] = select_weights(checkpoint["files"])
    users: dict[str, list[str]] = {}
    for stem, files in weights.items():
        for checksum in set(files.values()):
            users.setdefault(checksum, []).append(stem)
    shared: dict[tuple, list[str]] = {}
    for checksum, stems in users.items():
        if len({tuple(sorted(weights[stem].values())) for stem in stems}) > 1:
            name = next(name for name, value in weights[stems[0]].items() if value == checksum)
            shared.setdefault(tuple(stems), []).append(name)
    return [
        f"{join_names([names[stem] for stem in stems])} share {join_names(sorted(files))}, though their other "
        "weights differ: one of them may have been uploaded wrongly"
        for stems, files in shared.items()
    ]


def describe_mixed(names, on_record):
    """Describe checkpoints whose outputs were made from different weights, a list of str."""
    sentences = []
    for stem, records in on_record.items():
        for (path, first), (second_path, second) in itertools.combinations(records.items(), 2):
            if is_same(first, second) is False:
                sentences.append(
                    f"{path.name} and {second_path.name} of {names[stem]} were made of different weights, "
                    "configuration or tokenizer: make the older one again with --overwrite"
                )
                break
    return sentences


def describe_folders(on_record):
    """Describe folders that may contain different models of one name, a list of str.

    Two folders from which outputs of one checkpoint were made contain the same model, which was moved.
    """
    origins = {
        stem: {folder for checkpoint in records.values() if (folder := _get_model_folder(checkpoint))}
        for stem, records in on_record.items()
    }
    models = group_by_fingerprint({stem: folders for stem, folders in origins.items() if folders})
    folders = {min(origins[stems[0]]) for stems in models}
    if len(folders) < 2:
        return []
    return [
        f"checkpoints come from {len(folders)} folders, {join_names(sorted(folders))}, which may contain different "
        "models of the same name: give each model a study folder, or a folder name, of its own"
    ]


def _get_model_folder(checkpoint):
    """Return the folder of the model of a checkpoint on record, or its name on the hub, or None if unknown."""
    if checkpoint.get("commit") or checkpoint.get("folder"):
        return checkpoint.get("folder") or checkpoint["model"]
    is_absolute = os.path.isabs(checkpoint["model"])  # an older record
    return str(Path(checkpoint["model"]).resolve()) if is_absolute else None
