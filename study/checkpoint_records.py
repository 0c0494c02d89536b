"""Compare the checkpoint of a command with the checkpoint on record."""

from pathlib import Path

from huggingface_hub import errors, try_to_load_from_cache

from pipeline.errors import InputError
from pipeline.models import weights
from study.progress import log
from study.records import is_newer, read_record


def is_same_checkpoint(checkpoint, model, path):
    """Return whether the checkpoint (dict) on record of an output (path) is one of this model, as on the command line.

    The files of a local model are read if the model was moved, or if they are newer than the output. A model of the
    hub is compared with the current files in the hub's cache. Where files are missing, names are compared.
    """
    folder = Path(model, checkpoint.get("revision") or "")
    if not Path(model).is_dir():
        now = find_in_hub_cache(model, checkpoint)
        return checkpoint["model"] == model and weights.is_same(checkpoint, now) is not False
    if not checkpoint.get("files") or not folder.is_dir():
        return checkpoint["model"] == model  # the folder may have been removed
    now = weights.list_checkpoint_files(folder)
    if checkpoint["model"] == model and not any(is_newer(file, path) for file in now):
        listed = dict.fromkeys((file.name for file in now), "")
        return weights.select_other_files(listed).keys() == weights.select_other_files(checkpoint["files"]).keys()
    return weights.is_same(checkpoint, {"files": _compute_checksums(folder, checkpoint)}) is True


def _compute_checksums(folder, checkpoint):
    """Return the SHA-256 of the files in a folder, without weights where the checkpoint on record has read none."""
    return weights.compute_checksums(folder, has_weights="untrained" not in checkpoint)


def find_in_hub_cache(model, checkpoint):
    """Return the current commit and files of a revision in the hub's cache, or {} where the cache lacks them."""
    if not (checkpoint.get("commit") or checkpoint.get("files")):
        return {}  # an old record, which cannot be compared
    try:
        config = try_to_load_from_cache(model, "config.json", revision=checkpoint.get("revision") or "main")
    except errors.HFValidationError:
        return {}  # not a name on the hub
    if not isinstance(config, str):
        return {}
    snapshot = Path(config).parent
    if snapshot.name == checkpoint.get("commit"):
        return {"commit": snapshot.name}
    return {"commit": snapshot.name, "files": _compute_checksums(snapshot, checkpoint)}


def describe_other_model(checkpoint, model):
    """Describe the model on record of an output that was made from another model than the current one."""
    now = find_in_hub_cache(model, checkpoint)
    if not (checkpoint.get("commit") and now):
        return f"the model {checkpoint['model']}, which is another one"
    revision = checkpoint.get("revision") or "main"
    before = f"the model {checkpoint['model']} of {weights.describe_checkpoint(checkpoint)}"
    return f"{before}, and {revision} is now of {weights.describe_checkpoint(now)}"


def log_if_unsure(path, model):
    """Log a line if a branch of the hub has moved to a commit that cannot be compared with the record."""
    checkpoint = read_record(path).get("checkpoint") or {}
    now = {} if model is None or Path(model).is_dir() else find_in_hub_cache(model, checkpoint)
    if now and weights.is_same(checkpoint, now) is None:
        before, revision = weights.describe_checkpoint(checkpoint), checkpoint.get("revision") or "main"
        log(
            f"{path} was made from {before}. {revision} is now of {weights.describe_checkpoint(now)}, which cannot be "
            "compared: some of its files are not in the hub's cache"
        )


def check_same_weights(path, before, now):
    """Check that an output (path) was made from the loaded checkpoint (``now``), as far as its record shows it.

    ``before`` is the checkpoint on record, a dict or None. Another checkpoint raises InputError.
    """
    if before and weights.is_same(before, now) is False:
        got, expected = weights.describe_checkpoint(before), weights.describe_checkpoint(now)
        raise InputError(
            f"{path}: expected {expected}, got {got if got != expected else 'an earlier version'}: weights, "
            f"configuration or tokenizer of {before['model']} have changed. Use --overwrite for this output and all "
            "others of the checkpoint."
        )
