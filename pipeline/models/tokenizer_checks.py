"""Check that a checkpoint's tokenizer splits text as its tokenizer.json describes.

Transformers 5 builds some tokenizers from the class in tokenizer_config.json, and takes only the vocabulary from
tokenizer.json. It then lacks the normalizer or pre-tokenizer of the training, and the model reads different tokens.
"""

import json
from pathlib import Path

import numpy as np
import transformers
from tokenizers import Tokenizer
from transformers.utils import cached_file

from pipeline.errors import InputError, explain_errors

N_TEXTS = 200  # texts of the user that are compared
N_TEXTS_IF_BUILT_DIFFERENTLY = 5000
# Two files of one vocabulary may differ in the names of a few tokens ([unused0], <extra_id_0>).
MOST_DIFFERENT_TOKENS = 0.05
# Options that tokenizer_config.json may set on purpose: (name there, step of tokenizer.json, name in the step).
OPTIONS = (
    ("add_prefix_space", "ByteLevel", "add_prefix_space"),
    ("add_prefix_space", "Metaspace", "prepend_scheme"),
    ("do_lower_case", "BertNormalizer", "lowercase"),
    ("strip_accents", "BertNormalizer", "strip_accents"),
)
# Tokenizers differ in capitals, accents (composed and decomposed), digits, spaces, line breaks, quotes, contractions,
# ligatures, scripts, emoji and symbols.
TEXTS = (
    "The King's 3 daughters didn't see O'Brien; they'LL ask him at 12:45, or in 1984.",
    "  Two spaces   three\tand a tab \n\n a line\r\nand another.  ",
    "“Où est-il ?” — l’été, déjà ; CŒUR, naïve, façade, e\u0301te\u0301, Straße, ﬁn… «Ça»",
    "1234567 3.14159 1,000,000 -5 + 7 = 2 * x^2 $9.99 50% #tag @name http://a.b/c_d?e=f",
    "我们在沙漠里。 こんにちは мир Ελλάδα שלום مرحبا 한국어 ½ ② ＡＢＣ",
    "🙂👩‍🚀 e-mail: a.b@c.de <b>bold</b> {x: [1, 2]} C:\\path `code` ~ \u00a0non\u2009breaking\u200bspace",
    " a",
    "a",
    "A",
)


def check_tokenizer(tokenizer, revision, texts, log):
    """Return the tokenizer that a checkpoint's tokenizer.json describes.

    InputError is raised if tokenizer.json is damaged, or Transformers cannot follow it.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase, as AutoTokenizer loads it
    revision : str or None, the revision of a checkpoint on the hub
    texts : sequence of str, texts of the user; some of them are tokenized with both tokenizers
    log : callable of a line for the user, where the tokenizer is replaced

    Returns
    -------
    tokenizer : transformers.PreTrainedTokenizerBase
        The same tokenizer, where it makes the described tokens or the checkpoint has no tokenizer.json.
    note : str or None, a note for the record where the tokenizer is replaced
    """
    path = _find_file(tokenizer.name_or_path, "tokenizer.json", revision)
    if path is None or not tokenizer.is_fast:
        return tokenizer, None
    config: dict = {}
    if config_path := _find_file(tokenizer.name_or_path, "tokenizer_config.json", revision):
        with explain_errors(config_path, "get the checkpoint again"):
            config = dict(json.loads(config_path.read_text(encoding="utf-8")))
    with explain_errors(path, "get the checkpoint again"):
        described = Tokenizer.from_file(str(path))
        described.no_truncation()
        described.no_padding()
        configured = _configure(described, path, config)
    _check_vocabulary(described, tokenizer.name_or_path, revision, log)
    few = _select_texts(tokenizer, described, texts, N_TEXTS)
    difference = _find_difference(tokenizer, configured, few, config)
    if difference is None and not _is_built_same(tokenizer, configured):
        many = _select_texts(tokenizer, described, texts, N_TEXTS_IF_BUILT_DIFFERENTLY)
        difference = _find_difference(tokenizer, configured, many, config)
    if difference is None:
        return tokenizer, None
    few = [difference, *few]
    if configured is not described and _find_difference(tokenizer, described, few, config) is None:
        return tokenizer, None

    name = type(tokenizer).__name__
    is_local = Path(tokenizer.name_or_path).is_dir()
    arguments = {} if is_local else {"revision": revision, "local_files_only": True}
    plain = transformers.PreTrainedTokenizerFast.from_pretrained(tokenizer.name_or_path, **arguments)
    if (text := _find_difference(plain, configured, few, config)) is not None:
        raise InputError(
            f"{path}: expected a tokenizer that Transformers can follow, got other tokens for {text[:60]!r} "
            f"(class {name}). Save it as PreTrainedTokenizerFast."
        )
    log(
        f"the tokens are those of tokenizer.json: the class {name} in tokenizer_config.json makes other tokens, "
        f"for example of {difference[:40]!r}"
    )
    return plain, f"tokenizer.json, since {name} makes other tokens"


def _find_file(source, name, revision):
    """Return the path of a file of a loaded checkpoint, or None."""
    if Path(source).is_dir():
        return path if (path := Path(source, name)).is_file() else None
    path = cached_file(
        source,
        name,
        revision=revision or "main",
        local_files_only=True,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return path and Path(path)


def _check_vocabulary(described, source, revision, log):
    """Log where an older vocabulary file has different token ids: one of the files belongs to another model."""
    for name in ("vocab.json", "vocab.txt"):
        if (path := _find_file(source, name, revision)) is None:
            continue
        with explain_errors(path, "get the checkpoint again"):
            content = path.read_text(encoding="utf-8")
            if name == "vocab.json":
                ids = json.loads(content)
            else:  # a token a line
                ids = {token: token_id for token_id, token in enumerate(content.split("\n")) if token}
            described_ids = described.get_vocab(with_added_tokens=True)
            different = [token for token, token_id in ids.items() if described_ids.get(token) != token_id]
        if len(different) > MOST_DIFFERENT_TOKENS * len(ids):
            log(
                f"tokenizer.json is used, though {name} numbers {len(different)} of its {len(ids)} tokens differently: "
                "make sure that the model was trained with tokenizer.json"
            )


def _configure(described, path, config):
    """Return the tokenizer of tokenizer.json with the options of tokenizer_config.json."""
    content = json.loads(path.read_text(encoding="utf-8"))
    is_changed = False
    for part in _list_steps(content.get("pre_tokenizer")) + _list_steps(content.get("normalizer")):
        for option, kind, key in OPTIONS:
            value = config.get(option)
            if part["type"] != kind or not isinstance(value, bool):
                continue
            if key == "prepend_scheme":
                value = part[key] if (part[key] != "never") == value else "first" if value else "never"
            is_changed |= part.get(key) != value
            part[key] = value
    if not is_changed:
        return described
    return Tokenizer.from_str(json.dumps(content | {"truncation": None, "padding": None}))


def _list_steps(description):
    """Return the steps of a normalizer or a pre-tokenizer, a list of dict."""
    if description is None:
        return []
    return description.get("normalizers") or description.get("pretokenizers") or [description]


def _select_texts(tokenizer, described, texts, n_texts):
    """Return ``TEXTS`` and some texts of the user, evenly spaced."""
    indices = np.linspace(0, len(texts) - 1, min(len(texts), n_texts)).astype(int)
    # tokenizer.json may lack tokens that tokenizer_config.json adds.
    added = [token for token in tokenizer.get_added_vocab() if described.token_to_id(token) is None]
    selected = [*TEXTS, *(texts[index] for index in indices)]
    return [text for text in selected if not any(token in text for token in added)]


def _is_built_same(tokenizer, described):
    """Return whether two tokenizers have the same normalizer and pre-tokenizer."""
    states = [
        [None if part is None else part.__getstate__() for part in (built.normalizer, built.pre_tokenizer)]
        for built in (tokenizer.backend_tokenizer, described)
    ]
    return states[0] == states[1]


def _find_difference(tokenizer, described, texts, config):
    """Return the first text that a tokenizer does not split as described, or None.

    Special tokens around a text are compared, unless tokenizer_config.json sets them.
    """
    specials = not {"add_bos_token", "add_eos_token"} & {key for key in config if config[key] is not None}
    ids_of_texts = tokenizer(texts, add_special_tokens=specials, verbose=False)["input_ids"]
    described_ids = described.encode_batch(texts, add_special_tokens=specials)
    pairs = zip(texts, ids_of_texts, described_ids, strict=True)
    return next((text for text, ids, encoding in pairs if ids != encoding.ids), None)
