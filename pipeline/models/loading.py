"""Load checkpoints of language models and classifiers, and choose their device."""

import logging
import sys
import warnings
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from pipeline.errors import InputError, add_context, explain_errors
from pipeline.models import model_checks, tokenization, tokenizer_checks, weights
from pipeline.models.devices import pick_device
from pipeline.wording import shorten


def load_checkpoint(model, revision=None, device="auto", dtype="float32", texts=(), log=warnings.warn):
    """Load a causal language model and its tokenizer, and check both.

    InputError is raised if the checkpoint cannot be loaded or is not a causal language model; or its tokenizer returns
    no offsets, has no BOS in the model's embedding, or cannot follow tokenizer.json.

    Parameters
    ----------
    model : str, a name on the Hugging Face hub, or a local folder as ``save_pretrained`` writes it
    revision : str, optional; a branch, tag or commit of the hub's repository, or a sub-folder of the local folder
    device : str, as ``pick_device`` takes it
    dtype : {"float32", "bfloat16", "float16"}, the type of the weights and of the model's computations
    texts : sequence of str that the model will read; some of them are tokenized to check the tokenizer
    log : callable of a line for the user

    Returns
    -------
    model : transformers.PreTrainedModel in evaluation mode, on the device
        Code in the checkpoint is never run. Safetensors are preferred.
    tokenizer : transformers.PreTrainedTokenizerFast
    checkpoint : dict
        The provenance, for the record: name, revision, dtype, ``files`` (SHA-256 by name), and the ``commit`` of the
        hub or the local ``folder``; ``tokenizer`` where AutoTokenizer loads a different tokenizer.
    """
    return _check_model(_load(AutoModelForCausalLM, model, revision, device, dtype), model, revision, texts, log)


def make_untrained(model, revision=None, device="auto", dtype="float32", texts=(), log=warnings.warn, seed=0):
    """Make a causal language model with random weights, and load its tokenizer; check both.

    The configuration and tokenizer are those of a checkpoint. Its weights are neither read nor downloaded. The model
    initialises itself as before its training, on the CPU: the same seed gives the same weights on a machine, in
    ``dtype`` the rounded weights of float32. Tied weights are tied.

    Parameters
    ----------
    model, revision, device, dtype, texts, log : as ``load_checkpoint`` takes them, with the same InputError
    seed : int

    Returns
    -------
    model, tokenizer : as of ``load_checkpoint``
    checkpoint : dict
        The provenance, as of ``load_checkpoint``. ``untrained`` is the seed, and ``files`` are configuration and
        tokenizer alone.
    """
    return _check_model(_load(AutoModelForCausalLM, model, revision, device, dtype, seed), model, revision, texts, log)


def _check_model(loaded, model, revision, texts, log):
    """Check what ``_load`` returns of a causal language model, and return it, with a note on the tokenizer if any."""
    network, tokenizer, checkpoint = loaded
    if not tokenizer.is_fast:
        raise InputError(
            f"checkpoint {model}: expected a fast tokenizer, which returns the characters of its tokens, got "
            f"{type(tokenizer).__name__}. Add a tokenizer.json."
        )
    with add_context(f"checkpoint {model}"):
        tokenizer, note = tokenizer_checks.check_tokenizer(tokenizer, checkpoint.get("commit") or revision, texts, log)
        tokenization.check_special_tokens(network, tokenizer)
        model_checks.check_causal(network)
    return network, tokenizer, checkpoint | ({"tokenizer": note} if note else {})


def load_classifier(name, device="auto", texts=(), log=warnings.warn):
    """Load a classifier of sentences and its tokenizer.

    InputError is raised if the checkpoint cannot be loaded or is not a classifier of sequences; or its tokenizer has no
    padding token, or cannot follow tokenizer.json.

    Parameters
    ----------
    name : str, a name on the Hugging Face hub, or a local folder
    device, texts, log : as ``load_checkpoint`` takes them

    Returns
    -------
    model : transformers.PreTrainedModel in evaluation mode, in float32, on the device
    tokenizer : transformers.PreTrainedTokenizerBase
    checkpoint : dict, the provenance for the record
    """
    model, tokenizer, checkpoint = _load(AutoModelForSequenceClassification, name, None, device, "float32")
    if tokenizer.pad_token is None:
        raise InputError(
            f"classifier {name}: expected a padding token in its tokenizer, got none. "
            "Set pad_token in tokenizer_config.json."
        )
    tokenizer, note = tokenizer_checks.check_tokenizer(tokenizer, None, texts, log)
    return model, tokenizer, checkpoint | ({"tokenizer": note} if note else {})


def _load(auto_model, name, revision, device, dtype, seed=None):
    """Return a model, its tokenizer, and its provenance for the record; a seed (int) makes new weights."""
    logging.getLogger("transformers.models").setLevel(logging.ERROR)  # its warnings on encoders are errors here
    is_local = Path(name).is_dir()
    if is_local or not sys.stderr.isatty():  # progress is only of interest for downloads
        transformers.utils.logging.disable_progress_bar()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it logs every attempt to reach the hub
    source, arguments = name, {"revision": revision or "main"}
    if is_local:
        source = snapshot = Path(name, revision or "")
        arguments = {"local_files_only": True}
        _check_folder(source, name)
    elif name.count("/") > 1 or name.startswith((".", "/", "~")):
        raise InputError(f"--model {name}: expected a folder or a name on the hub (owner/name), got a missing folder.")
    remedy = "get it again" if is_local else "is that its name on the hub, and can the hub be reached?"
    if not is_local and "/" in name and Path(name).parent.is_dir():  # owner/name may be either
        remedy = f"the folder {Path(name).parent} has no folder {Path(name).name}; or {remedy}"
    with explain_errors(f"checkpoint {source}", f"it cannot be loaded; {remedy}"):
        if not is_local:
            # All files are of one commit, even if the branch moves during the download.
            if (config := transformers.utils.cached_file(name, "config.json", **arguments)) is None:
                raise ValueError("it has no config.json")
            snapshot = Path(config).parent
            arguments["revision"] = snapshot.name
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, trust_remote_code=False, **arguments)
        options = {"dtype": getattr(torch, dtype), "trust_remote_code": False}
        if seed is None:
            network, loading = auto_model.from_pretrained(source, output_loading_info=True, **options, **arguments)
            missing = loading["missing_keys"]
        else:
            config = transformers.AutoConfig.from_pretrained(source, trust_remote_code=False, **arguments)
            network, missing = _initialize(auto_model, config, options, seed), ()
        if not tokenizer("a word", add_special_tokens=False)["input_ids"]:
            raise ValueError("its tokenizer reads no text; are the tokenizer's files in it?")
        n_rows = network.get_input_embeddings().num_embeddings
        if tokenizer.vocab_size > n_rows:  # only tokens that were added later may lack a row in the model
            raise ValueError(f"its tokenizer has {tokenizer.vocab_size} tokens, its model's embedding only {n_rows}")
    if missing:
        raise InputError(
            f"checkpoint {source}: expected an {auto_model.__name__}, got a checkpoint without "
            f"{min(missing)}. Use another model."
        )
    checkpoint = {"model": name, "revision": revision, "dtype": dtype}
    checkpoint |= {} if seed is None else {"untrained": seed}
    checkpoint |= {"folder": str(Path(name).resolve())} if is_local else {"commit": snapshot.name}
    checkpoint["files"] = weights.compute_checksums(snapshot, has_weights=seed is None)
    return network.eval().to(pick_device(device)), tokenizer, checkpoint


def _initialize(auto_model, config, options, seed):
    """Return a model of a configuration with the random weights of its own initialisation."""
    with torch.random.fork_rng(devices=[]):  # the generator of the process stays as it is
        torch.manual_seed(seed)
        return auto_model.from_config(config, **options)


def _check_folder(folder, model):
    """Check that a local folder contains a checkpoint."""
    if (folder / "config.json").is_file():
        return
    revisions = sorted(path.parent.name for path in Path(model).glob("*/config.json"))
    remedy = f"--revision may be {shorten(revisions)}." if revisions else "Use another model."
    raise InputError(f"{folder} holds no checkpoint: expected a config.json, got none. {remedy}")
