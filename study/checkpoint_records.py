"""Compare the checkpoint of a command with the checkpoint on record."""

from pathlib import Path

from huggingface_hub import errors, try_to_load_from_cache

from pipeline.errors import InputError
from pipeline.models import weights
from study.progress import log
from study.records import is_newer, read_record


def is_same_checkpoint(checkpoint, model, path):
    """Whether what an output was made of, as recorded, is this model, which may have been moved.

    Files of a local one are read if it was moved, or if they are newer than the output. One of the hub is
    compared with what the hub's cache holds now. Where files do not show it, the name counts.
    """
    folder = Path(model, checkpoint.get("revision") or "")
    if not Path(model).is_dir():
        now = find_in_hub_cache(model, checkpoint)
        return checkpoint["model"] == model and weights.is_same(checkpoint, now) is not False
    if not checkpoint.get("files") or not folder.is_dir():
        return checkpoint["model"] == model  # it may have been removed since
    now = weights.list_checkpoint_files(folder)
    if checkpoint["model"] == model and not any(is_newer(file, path) for file in now):
        listed = dict.fromkeys((file.name for file in now), "")
        return weights.select_other_files(listed).keys() == weights.select_other_files(checkpoint["files"]).keys()
    return weights.is_same(checkpoint, {"files": weights.compute_checksums(folder)}) is True


def find_in_hub_cache(model, checkpoint):
    """Return what the hub's cache holds now of the revision of a checkpoint on record: commit and files, or {}."""
    if not (checkpoint.get("commit") or checkpoint.get("files")):
        return {}  # an old record, with which nothing can be compared
    try:
        config = try_to_load_from_cache(model, "config.json", revision=checkpoint.get("revision") or "main")
    except errors.HFValidationError:
        return {}  # no name on the hub
    if not isinstance(config, str):
        return {}
    snapshot = Path(config).parent
    if snapshot.name == checkpoint.get("commit"):
        return {"commit": snapshot.name}
    return {"commit": snapshot.name, "files": weights.compute_checksums(snapshot)}


def describe_other_model(checkpoint, model):
    """Say which model an output was made of, where that is another one now."""
    now = find_in_hub_cache(model, checkpoint)
    if not (checkpoint.get("commit") and now):
        return f"the model {checkpoint['model']}, which is another one"
    revision = checkpoint.get("revision") or "main"
    before = f"the model {checkpoint['model']} of {weights.describe_checkpoint(checkpoint)}"
    return f"{before}, and {revision} is now of {weights.describe_checkpoint(now)}"


def log_if_unsure(path, model):
    """Tell the user where a branch of the hub has moved since, to a commit that cannot be compared."""
    checkpoint = read_record(path).get("checkpoint") or {}
    now = {} if model is None or Path(model).is_dir() else find_in_hub_cache(model, checkpoint)
    if now and weights.is_same(checkpoint, now) is None:
        before, revision = weights.describe_checkpoint(checkpoint), checkpoint.get("revision") or "main"
        log(
            f"{path} was made of {before}. {revision} is now of {weights.describe_checkpoint(now)}, which cannot be "
            "compared: not all of its files are in the hub's cache"
        )


def check_same_weights(path, before, now):
    """Check that an output was made of the checkpoint that has been loaded now, as far as records show it.

    Raises
    ------
    InputError
        It was made of another one.
    """
    if before and weights.is_same(before, now) is False:
        got, expected = weights.describe_checkpoint(before), weights.describe_checkpoint(now)
        raise InputError(
            f"{path}: expected {expected}, got {got if got != expected else 'what was there before'}, which has other "
            f"weights, configuration or tokenizer under the same name {before['model']}. --overwrite takes them as "
            "they are now; then make the other outputs again, too"
        )
