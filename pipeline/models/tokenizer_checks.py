"""Check that a checkpoint's tokenizer splits text as its tokenizer.json describes.

Transformers 5 builds some tokenizers from the class that tokenizer_config.json names, and takes only
the vocabulary from tokenizer.json: a normaliser or a way of splitting that a model was trained with
is then left out, and every number is that of other tokens.
"""

import json
from pathlib import Path

import numpy as np
import transformers
from tokenizers import Tokenizer
from transformers.utils import cached_file

from pipeline.errors import InputError, explain_errors

N_TEXTS = 200  # of the user's own that are compared
N_TEXTS_IF_BUILT_OTHERWISE = 5000
# A few tokens may be named otherwise ([unused0], <extra_id_0>); more are another vocabulary.
MOST_OTHER_TOKENS = 0.05
# Options that tokenizer_config.json may set on purpose: their names there, and the steps in tokenizer.json.
OPTIONS = (
    ("add_prefix_space", "ByteLevel", "add_prefix_space"),
    ("add_prefix_space", "Metaspace", "prepend_scheme"),
    ("do_lower_case", "BertNormalizer", "lowercase"),
    ("strip_accents", "BertNormalizer", "strip_accents"),
)
# What tokenizers treat differently: capitals, accents (composed and not), digits, spaces, line breaks, quotes,
# contractions, ligatures, other scripts, emoji, symbols.
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

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
        As AutoTokenizer loads it.
    revision : str or None
        Of a checkpoint on the hub.
    texts : sequence of str
        The user's own, some of which are tokenised in both ways.
    log : callable
        Called with one line for the user if another tokenizer is used.

    Returns
    -------
    tokenizer : transformers.PreTrainedTokenizerBase
        The one that was given, where it makes the same tokens or there is no tokenizer.json.
    note : str or None
        For the record, if another one is used.

    Raises
    ------
    InputError
        tokenizer.json is damaged, or cannot be followed.
    """
    path = _cached_file(tokenizer.name_or_path, "tokenizer.json", revision)
    if path is None or not tokenizer.is_fast:
        return tokenizer, None
    config = _read_config(_cached_file(tokenizer.name_or_path, "tokenizer_config.json", revision))
    with explain_errors(path, "get the checkpoint again"):
        described = Tokenizer.from_file(str(path))
        described.no_truncation()
        described.no_padding()
        as_configured = _as_configured(described, path, config)
    _check_vocabulary(described, tokenizer.name_or_path, revision, log)
    few, many = (_texts_to_compare(tokenizer, described, texts, n) for n in (N_TEXTS, N_TEXTS_IF_BUILT_OTHERWISE))
    differing = _first_difference(tokenizer, as_configured, few, config)
    if differing is None and not _is_built_same(tokenizer, as_configured):
        differing = _first_difference(tokenizer, as_configured, many, config)
    if differing is None:
        return tokenizer, None
    few = [differing, *few]
    if as_configured is not described and _first_difference(tokenizer, described, few, config) is None:
        return tokenizer, None

    arguments = {} if Path(tokenizer.name_or_path).is_dir() else {"revision": revision, "local_files_only": True}
    plain = transformers.PreTrainedTokenizerFast.from_pretrained(tokenizer.name_or_path, **arguments)
    name = type(tokenizer).__name__
    if (text := _first_difference(plain, as_configured, few, config)) is not None:
        raise InputError(
            f"{path}: expected a tokenizer that Transformers can follow, got other tokens for {text[:60]!r} "
            f"(class {name}). Save it as PreTrainedTokenizerFast."
        )
    log(
        f"the tokens are those of tokenizer.json: the class {name} that tokenizer_config.json names makes others, "
        f"as of {differing[:40]!r}"
    )
    return plain, f"tokenizer.json, since {name} makes other tokens"


def _cached_file(source, name, revision):
    """Return the path of a file of a checkpoint that has been loaded, or None where it has none."""
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


def _read_config(path):
    """Return what tokenizer_config.json sets, empty where there is none."""
    if path is None:
        return {}
    with explain_errors(path, "get the checkpoint again"):
        return dict(json.loads(path.read_text(encoding="utf-8")))


def _check_vocabulary(described, source, revision, log):
    """Say where an older vocabulary file numbers the tokens otherwise: one of both files is not the model's."""
    for name in ("vocab.json", "vocab.txt"):
        if (path := _cached_file(source, name, revision)) is None:
            continue
        with explain_errors(path, "get the checkpoint again"):
            content = path.read_text(encoding="utf-8")
            numbers = json.loads(content) if name == "vocab.json" else _numbers_of_lines(content)
            known = described.get_vocab(with_added_tokens=True)
            other = [token for token, number in numbers.items() if known.get(token) != number]
        if len(other) > MOST_OTHER_TOKENS * len(numbers):
            log(
                f"tokenizer.json is used, though {name} numbers {len(other)} of its {len(numbers)} tokens otherwise: "
                "make sure that the model was trained with tokenizer.json"
            )


def _numbers_of_lines(content):
    """Return the number of each token in a file with a token a line."""
    return {token: number for number, token in enumerate(content.split("\n")) if token}


def _as_configured(described, path, config):
    """Return the tokenizer of tokenizer.json with the options that tokenizer_config.json sets, too."""
    content = json.loads(path.read_text(encoding="utf-8"))
    is_other = False
    for part in _parts(content.get("pre_tokenizer")) + _parts(content.get("normalizer")):
        for option, kind, key in OPTIONS:
            value = config.get(option)
            if part["type"] != kind or not isinstance(value, bool):
                continue
            if key == "prepend_scheme":
                value = part[key] if (part[key] != "never") == value else "first" if value else "never"
            is_other |= part.get(key) != value
            part[key] = value
    if not is_other:
        return described
    return Tokenizer.from_str(json.dumps(content | {"truncation": None, "padding": None}))


def _parts(description):
    """Return the steps that a normaliser or a pre-tokenizer consists of, each a dict."""
    if description is None:
        return []
    return description.get("normalizers") or description.get("pretokenizers") or [description]


def _texts_to_compare(tokenizer, described, texts, n_texts):
    """Return our own texts and some of the user's, evenly spaced."""
    places = np.linspace(0, len(texts) - 1, min(len(texts), n_texts)).astype(int)
    # Tokens that were added in tokenizer_config.json are right, though tokenizer.json lacks them.
    added = [token for token in tokenizer.get_added_vocab() if described.token_to_id(token) is None]
    some = [*TEXTS, *(texts[place] for place in places)]
    return [text for text in some if not any(token in text for token in added)]


def _is_built_same(tokenizer, described):
    """Return whether two tokenizers normalise and split a text in the same way."""
    built = tokenizer.backend_tokenizer
    parts = ("normalizer", "pre_tokenizer")
    return all(_state(getattr(built, part)) == _state(getattr(described, part)) for part in parts)


def _state(part):
    return None if part is None else part.__getstate__()


def _first_difference(tokenizer, described, texts, config):
    """Return the first text of which a tokenizer makes other tokens than those described, or None.

    Special tokens around a text are compared unless tokenizer_config.json says which there are.
    """
    specials = not {"add_bos_token", "add_eos_token"} & {key for key in config if config[key] is not None}
    ids_of_texts = tokenizer(texts, add_special_tokens=specials, verbose=False)["input_ids"]
    described_ids = described.encode_batch(texts, add_special_tokens=specials)
    pairs = zip(texts, ids_of_texts, described_ids, strict=True)
    return next((text for text, ids, encoding in pairs if ids != encoding.ids), None)
