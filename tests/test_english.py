"""Plain English: docstrings begin with an imperative verb, and words that need decoding are not used."""

import ast
import re

import pytest
from helpers import ROOT
from test_imports import CODE

NOT_VERBS = set("a an all any by each every from how in it its of on one that the their these this those to".split())
NOT_VERBS |= set("what when where whether which who whose why with".split())
BANNED = r"anew|alike|beside|but for|as many as|nothing tells|is no \w+|whereof|left-out|there is no such"
TEXTS = [
    "README.md",
    "Snakefile",
    "analyze_results.ipynb",
    *(str(file) for file in CODE if file.name != "language.py"),
]  # of which "beside" is a word of the language
TEXTS += sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md"))


@pytest.mark.parametrize("file", CODE, ids=str)
def test_docstrings_begin_with_a_verb(file):
    kinds = ast.Module | ast.FunctionDef
    nodes = [node for node in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(node, kinds)]
    for docstring in filter(None, map(ast.get_docstring, nodes)):
        first = re.match(r"\W*(\w+)", docstring)[1]
        assert first[0].isupper() and first.lower() not in NOT_VERBS and not first.endswith("s"), docstring


@pytest.mark.parametrize("file", TEXTS)
def test_no_banned_words(file):
    found = re.findall(rf"\b(?:{BANNED})\b", (ROOT / file).read_text())
    assert found == []
