"""Load checkpoints of language models and classifiers, and pick what they run on."""

import logging
import os
import sys
import warnings
from pathlib import Path

import torch
import transformers
from threadpoolctl import threadpool_limits
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from pipeline.errors import InputError, explain_errors
from pipeline.models import model_checks, tokenizer_checks, weights


def load_checkpoint(model, revision=None, device="auto", dtype="float32", texts=(), log=warnings.warn):
    """Load a causal language model and its tokenizer, check both, and return them ready to be read out.

    Parameters
    ----------
    model : str
        A name on the Hugging Face hub, or a local folder as ``save_pretrained`` writes it.
    revision : str, optional
        A branch, tag or commit of the hub's repository, or a sub-folder of the local folder.
    device : str
        ``auto`` (CUDA where there is one, else the CPU), ``cpu``, ``cuda``, ``cuda:1`` ...
    dtype : {"float32", "bfloat16", "float16"}
        In which the weights are held and the model computes.
    texts : sequence of str
        What the model is to read; some of it is tokenised to check the tokenizer.
    log : callable
        Called with a line for the user.

    Returns
    -------
    model : transformers.PreTrainedModel
        In evaluation mode, on the device. Code in the checkpoint is never run, and safetensors
        are taken wherever the checkpoint has them.
    tokenizer : transformers.PreTrainedTokenizerFast
    checkpoint : dict
        What was loaded, for the record: name, revision, dtype, ``files`` (SHA-256 by name), and the
        ``commit`` of the hub or the local ``folder``; ``tokenizer`` where it is not the one that
        AutoTokenizer loads.

    Raises
    ------
    InputError
        It cannot be loaded, is no causal language model, or its tokenizer does not tell where tokens stand,
        has no BOS that the model knows, or cannot follow tokenizer.json.
    """
    logging.getLogger("transformers.models").setLevel(logging.ERROR)  # it warns of encoders, which are errors here
    network, tokenizer, checkpoint = _load(AutoModelForCausalLM, model, revision, device, dtype)
    if not tokenizer.is_fast:
        raise InputError(f"checkpoint {model}: its tokenizer does not tell which characters its tokens cover")
    try:
        tokenizer, note = tokenizer_checks.check_tokenizer(tokenizer, checkpoint.get("commit") or revision, texts, log)
        model_checks.check_model(network, tokenizer)
    except InputError as error:
        raise InputError(f"checkpoint {model}: {error}") from error
    return network, tokenizer, checkpoint | ({"tokenizer": note} if note else {})


def load_classifier(name, device="auto", texts=(), log=warnings.warn):
    """Load a classifier of sentences: a name on the Hugging Face hub, or a local folder.

    texts and say as ``load_checkpoint`` takes them.

    Returns
    -------
    model : transformers.PreTrainedModel
        In evaluation mode, in float32, on the device.
    tokenizer : transformers.PreTrainedTokenizerBase
    checkpoint : dict
        What was loaded, for the record.

    Raises
    ------
    InputError
        It cannot be loaded, is no classifier of sequences, or its tokenizer cannot fill up sentences or
        follow tokenizer.json.
    """
    model, tokenizer, checkpoint = _load(AutoModelForSequenceClassification, name, None, device, "float32")
    if tokenizer.pad_token is None:
        raise InputError(f"classifier {name}: its tokenizer has no token to fill up shorter sentences with")
    tokenizer, note = tokenizer_checks.check_tokenizer(tokenizer, None, texts, log)
    return model, tokenizer, checkpoint | ({"tokenizer": note} if note else {})


def _load(auto_model, name, revision, device, dtype):
    """Model, tokenizer, and what was loaded, for the record."""
    if not sys.stderr.isatty() or Path(name).is_dir():  # of a download one wants to know how long it takes
        transformers.utils.logging.disable_progress_bar()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # which tells of every attempt to reach the hub
    source, arguments = name, {"revision": revision or "main"}
    if Path(name).is_dir():
        source, arguments = Path(name, revision or ""), {"local_files_only": True}
        if not (source / "config.json").is_file():
            revisions = sorted(found.parent.name for found in Path(name).glob("*/config.json"))
            there = f"--revision may be {', '.join(revisions[:6])}{' ...' * (len(revisions) > 6)}" if revisions else ""
            raise InputError(f"{source} holds no checkpoint: there is no config.json in it; {there or 'name another'}")
    elif name.count("/") > 1 or name.startswith((".", "/")):
        raise InputError(f"--model {name}: there is no such folder, and a name on the hub is owner/name")
    remedy = "it cannot be loaded; get it again"
    if not Path(name).is_dir():
        remedy = "it cannot be loaded; is that its name on the hub, and can the hub be reached?"
    with explain_errors(f"checkpoint {source}", remedy):
        if not Path(name).is_dir():
            # One commit for all files, whatever happens to the branch while they are downloaded.
            config = transformers.utils.cached_file(name, "config.json", **arguments)
            if config is None:
                raise ValueError("there is no config.json in it")
            snapshot = Path(config).parent
            arguments["revision"] = snapshot.name
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, trust_remote_code=False, **arguments)
        network, loading = auto_model.from_pretrained(
            source, dtype=getattr(torch, dtype), trust_remote_code=False, output_loading_info=True, **arguments
        )
        if not tokenizer("a word", add_special_tokens=False)["input_ids"]:
            raise ValueError("its tokenizer reads no text; are the tokenizer's files in it?")
        n_known = network.get_input_embeddings().num_embeddings
        if tokenizer.vocab_size > n_known:  # tokens that were added later may lack a place in the model
            raise ValueError(f"its tokenizer has {tokenizer.vocab_size} tokens, of which the model knows {n_known}")
    if loading["missing_keys"]:
        raise InputError(
            f"checkpoint {source}: it lacks {min(loading['missing_keys'])}; it is no {auto_model.__name__}"
        )
    checkpoint = {"model": name, "revision": revision, "dtype": dtype}
    if Path(name).is_dir():
        checkpoint |= {"folder": str(Path(name).resolve()), "files": weights.compute_checksums(source)}
    else:
        checkpoint |= {"commit": snapshot.name, "files": weights.compute_checksums(snapshot)}
    return network.eval().to(pick_device(device)), tokenizer, checkpoint


def limit_threads(n_threads):
    """Compute with so many threads of the CPU; with all where None is given."""
    if n_threads is not None:
        torch.set_num_threads(n_threads)
        threadpool_limits(n_threads)  # NumPy's and SciPy's
        os.environ["RAYON_NUM_THREADS"] = str(n_threads)  # those of the tokenizers


def pick_device(name):
    """``auto`` is CUDA where there is one, else the CPU; any other name as PyTorch knows it.

    Raises
    ------
    InputError
        There is no such device, or it cannot be used.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"--device {name} cannot be used here ({reason}): --device cpu always works") from error
    return torch.device(name)
