"""Identify the weights of a checkpoint by commits, checksums of files, and outputs that are exactly equal.

A recorded checkpoint is a dict. ``files`` contains the SHA-256 of its files by name. ``commit`` is its commit on the
hub, ``folder`` the folder of a local model. Older records lack some of these.
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

# Files that from_pretrained reads, in its order of preference. The first pattern that matches a file decides.
WEIGHTS = (
    r"model\.safetensors",
    r"model.*-of-\d+\.safetensors",
    r"pytorch_model\.bin",
    r"pytorch_model.*-of-\d+\.bin",
    r"(?!optimizer|scheduler|scaler|rng_state|random_states|training_args|tokenizer).*\.(safetensors|bin|pt|pth|h5)",
)
# Files of configuration and tokenizer. Other files, such as logs, licences, generation_config.json and chat templates,
# do not change the numbers.
CONFIGURATION = re.compile(
    r"config\.json|tokenizer(_config)?\.json|(special_tokens_map|added_tokens)\.json|merges\.txt|.*vocab.*\.(json|txt)"
    r"|.*\.(model|tiktoken|spm)"
)
# Files that are always requested from the hub. If a record lacks such a file, the hub did not have it.
ALWAYS_ASKED_FOR = {"config.json", "tokenizer.json", "tokenizer_config.json"}


def list_checkpoint_files(folder):
    """Return the files of a checkpoint in a folder, tokenizer included."""
    return sorted(
        path for path in folder.iterdir() if path.is_file() and path.suffix != ".md" and path.name[0] not in "._"
    )


def compute_checksums(folder, has_weights=True):
    """Return the SHA-256 of the files of a checkpoint in a folder, by name.

    Without weights, only files of configuration and tokenizer are read. The hub's cache names a large file by its
    SHA-256, so that the file need not be read.
    """
    files = [path for path in list_checkpoint_files(folder) if has_weights or CONFIGURATION.fullmatch(path.name)]
    return {path.name: read_hub_sha256(path) or compute_sha256(path) for path in files}


def read_hub_sha256(path):
    """Return the SHA-256 that the hub states for a file in ``snapshots/{commit}/`` of its cache, or None."""
    path = Path(os.path.abspath(path))
    if not path.is_symlink() or path.parent.parent.name != "snapshots":
        return None
    # Only the first link is followed: a blob can be a link to a file with another kind of checksum as its name.
    blob = Path(os.path.normpath(path.parent / os.readlink(path)))
    is_blob = blob.parent == path.parent.parent.parent / "blobs"
    return blob.name if is_blob and re.fullmatch("[0-9a-f]{64}", blob.name) else None


def select_weights(files):
    """Return the weight files of a checkpoint, a dict of SHA-256 by name."""
    for pattern in WEIGHTS:
        if weights := {name: checksum for name, checksum in files.items() if re.fullmatch(pattern, name)}:
            return weights
    return {}


def select_other_files(files):
    """Return the files of configuration and tokenizer of a checkpoint, a dict of SHA-256 by name."""
    return {name: checksum for name, checksum in files.items() if CONFIGURATION.fullmatch(name)}


def identify(checkpoint):
    """Return a key of a recorded checkpoint: names and checksums of the loaded files, or the commit."""
    files = checkpoint.get("files") or {}
    return sorted((select_weights(files) | select_other_files(files)).items()) or checkpoint.get("commit")


def is_same(before, now):
    """Return whether two recorded checkpoints are the same, a bool, or None where it is unknown.

    They are the same if their commits are equal, or if their weights, configurations and tokenizers are. The hub's
    cache contains only files that were requested. So a file that only one checkpoint has does not count there, unless
    it is always requested. It is unknown where a record is old, or the cache lacks files.

    Parameters
    ----------
    before, now : dict, as ``load_checkpoint`` returns them; ``now`` may be from the hub's cache
    """
    if before.get("commit") and before["commit"] == now.get("commit"):
        return True
    if not before.get("files") or not now.get("files"):
        return None
    old, new = select_other_files(before["files"]), select_other_files(now["files"])
    weights = select_weights(before["files"])
    old_weights, new_weights = Counter(weights.values()), Counter(select_weights(now["files"]).values())
    if weights and all(now["files"].get(name) == checksum for name, checksum in weights.items()):
        new_weights = old_weights  # the hub has added the same weights in another format
    if not (before.get("commit") or now.get("commit")):
        return (old, old_weights) == (new, new_weights)
    added = (new.keys() - old.keys()) & ALWAYS_ASKED_FOR
    if added or any(old[name] != new[name] for name in old.keys() & new.keys()) or not new_weights <= old_weights:
        return False
    is_complete = bool(new_weights) and new_weights == old_weights
    return True if is_complete and not (old.keys() - new.keys()) & ALWAYS_ASKED_FOR else None


def describe_checkpoint(checkpoint):
    """Return a recorded checkpoint in a few words: its commit, its folder, or its name."""
    if checkpoint.get("commit"):
        return f"commit {checkpoint['commit'][:10]}"
    return checkpoint.get("folder") or checkpoint["model"]


def make_fingerprints(checkpoints, checksums_of_outputs, correlations=None):
    """Return the fingerprints of a checkpoint, a set of (kind, checksum).

    Two checkpoints that share a fingerprint have the same weights, or an output of one was copied.

    Parameters
    ----------
    checkpoints : list of dict, the recorded checkpoint of each output
    checksums_of_outputs : dict of str to str
        SHA-256 of outputs that differ between any two checkpoints, by kind of output (``blimp``).
    correlations : float array (n_layers, n_runs, n_voxels), optional; the correlations of the fit
    """
    marks = {("weights", " ".join(checksums)) for checksums in map(select_weight_checksums, checkpoints) if checksums}
    marks |= checksums_of_outputs.items()
    if correlations is not None and any(np.unique(layer[np.isfinite(layer)]).size > 1 for layer in correlations):
        checksum = hashlib.sha256(f"{correlations.shape} {correlations.dtype.str}".encode())
        checksum.update(np.ascontiguousarray(correlations).data)
        marks.add(("correlations", checksum.hexdigest()))
    return marks


def select_weight_checksums(checkpoint):
    """Return the SHA-256 of the weight files of a recorded checkpoint, sorted, without their names."""
    return sorted(select_weights(checkpoint.get("files") or {}).values())


def group_by_fingerprint(marks):
    """Return groups of names that share a mark, directly or through members of the group.

    Parameters
    ----------
    marks : dict of str to set

    Returns
    -------
    list of list of str, in the order of ``marks``; a name that shares no mark is alone in its group
    """
    groups: list[tuple[set[str], set]] = []
    for name, own in marks.items():
        joined = [group for group in groups if group[1] & own]
        groups = [group for group in groups if group not in joined]
        groups.append(({name}.union(*(names for names, _ in joined)), own.union(*(shared for _, shared in joined))))
    order = list(marks)
    return sorted((sorted(names, key=order.index) for names, _ in groups), key=lambda names: order.index(names[0]))


def describe_same(names, on_record, stems, unfitted):
    """Return a sentence on checkpoints that have the same weights.

    Parameters
    ----------
    names : dict of str to str, the name of each checkpoint by stem
    on_record : dict of str to dict, the recorded checkpoint of each output, by stem
    stems : list of str, the checkpoints that have the same weights
    unfitted : list of str, names of checkpoints with the same weights that are not in the table
    """
    recorded = [set(map(tuple, map(select_weight_checksums, on_record[stem].values()))) - {()} for stem in stems]
    is_on_record = bool(set.intersection(*recorded))
    doubt = "" if is_on_record else " (or outputs of one were copied: they are equal to the last bit)"
    return (
        f"{join_names([*map(names.get, stems), *unfitted])} have the same weights{doubt}: they are drawn hollow and "
        "left out of every fit over training, since their step is unknown"
    )


def describe_shared(names, on_record):
    """Return a sentence for every weight file that checkpoints share, if other weight files differ."""
    weights = {
        stem: select_weights(checkpoint["files"])
        for stem, records in on_record.items()
        for checkpoint in records.values()
        if checkpoint.get("files")
    }
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
    """Return a sentence for every checkpoint whose outputs were made of different weights."""
    sentences = []
    for stem, records in on_record.items():
        for (path_a, checkpoint_a), (path_b, checkpoint_b) in itertools.combinations(records.items(), 2):
            if is_same(checkpoint_a, checkpoint_b) is False:
                sentences.append(
                    f"{path_a.name} and {path_b.name} of {names[stem]} were made of different weights, configuration "
                    "or tokenizer: make the older one again with --overwrite"
                )
                break
    return sentences


def describe_folders(on_record):
    """Return a sentence if checkpoints come from several folders, which may contain different models of one name.

    Two folders with outputs of the same checkpoint belong to one model that was moved.
    """
    origins = {
        stem: {folder for folder in map(get_model_folder, records.values()) if folder}
        for stem, records in on_record.items()
    }
    moved = group_by_fingerprint({stem: folders for stem, folders in origins.items() if folders})
    if len(moved) < 2 or len(folders := {min(origins[group[0]]) for group in moved}) < 2:
        return []
    return [
        f"checkpoints come from {len(folders)} folders, {join_names(sorted(folders))}, which may contain different "
        "models of the same name: give each model a study folder, or a folder name, of its own"
    ]


def get_model_folder(checkpoint):
    """Return the model's folder of a recorded checkpoint, or its name on the hub; None where it is unknown."""
    if checkpoint.get("commit") or checkpoint.get("folder"):
        return checkpoint.get("folder") or checkpoint["model"]
    is_absolute = os.path.isabs(checkpoint["model"])  # an older record
    return str(Path(checkpoint["model"]).resolve()) if is_absolute else None
