"""The rules of the house: who imports whom, and how long files and functions may be."""

import ast
import subprocess
import sys

import pytest
from helpers import ROOT

from study.program import list_imported_names

# Each may import itself and those before it. Commands may import all but experiments, which are commands, too.
LAYERS = ["pipeline", "study", "report", "experiments"]
SISTERS = {
    "words": {"models"},
    "tasks": {"models"},
    "brain": {"statistics"},
    "transitions": {"statistics", "tasks"},
    "properties": {"encoding", "statistics"},
    "similarity": {"encoding", "statistics"},
    "meg": {"encoding", "statistics"},
}
LIGHT = [
    *["study/paths.py", "study/config.py", "pipeline/errors.py"],
    *["pipeline/tasks/table.py", "pipeline/words/languages.py"],
]
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 350, 60

PRODUCT = sorted(
    file.relative_to(ROOT)
    for file in [*ROOT.glob("*.py"), *(file for layer in LAYERS for file in ROOT.glob(f"{layer}/**/*.py"))]
)
CODE = PRODUCT + sorted(
    file.relative_to(ROOT) for folder in ("demo", "speed") for file in ROOT.glob(f"{folder}/**/*.py")
)
EXPERIMENTS = [file for file in CODE if file.parts[0] == "experiments" and "def main(" in (ROOT / file).read_text()]
COMMANDS = [file for file in CODE if len(file.parts) == 1] + EXPERIMENTS


def is_allowed(file, name):
    """Whether a file of the product may import a module of this project."""
    layer, *inner = file.parts
    imported, *inner_imported = name.split(".")
    if imported == "experiments":  # nobody imports an experiment, except the same experiment
        return layer == "experiments" and inner[:-1] == inner_imported[:-1]
    if layer not in LAYERS or imported not in LAYERS:
        return imported in LAYERS and layer not in LAYERS
    if layer != "pipeline" or imported != "pipeline":
        return LAYERS.index(imported) <= LAYERS.index(layer)
    if len(inner) < 2 or len(inner_imported) < 2:  # pipeline/errors.py and its like
        return len(inner_imported) < 2
    return inner_imported[0] in {inner[0]} | SISTERS.get(inner[0], set())


def imports_of(file):
    """The modules of this project that a file imports, as dotted names."""
    names = {name for name in list_imported_names(ROOT / file) if name.split(".")[0] in [*LAYERS, "llm_brain_asym"]}
    return {name for name in names if (ROOT.joinpath(*name.split(".")).with_suffix(".py")).is_file()}


@pytest.mark.parametrize("file", PRODUCT, ids=str)
def test_imports_point_one_way(file):
    assert "llm_brain_asym" not in imports_of(file)
    assert [name for name in sorted(imports_of(file)) if not is_allowed(file, name)] == []


def test_nothing_imports_in_a_circle():
    graph = {".".join(file.with_suffix("").parts): imports_of(file) for file in PRODUCT}
    while leaves := {module for module, imported in graph.items() if not imported & graph.keys()}:
        graph = {module: imported for module, imported in graph.items() if module not in leaves}
    assert sorted(graph) == []


@pytest.mark.parametrize("file", LIGHT)
def test_what_snakemake_imports_needs_the_standard_library_only(file):
    if not (ROOT / file).is_file():
        pytest.skip(f"{file} does not exist yet")
    light = {".".join(name.removesuffix(".py").split("/")) for name in LIGHT}
    tops = {name for name in list_imported_names(ROOT / file) if name not in light}
    modules = {name.split(".")[0] for name in tops if name.split(".")[0] not in LAYERS}
    assert modules <= sys.stdlib_module_names | {"yaml"}
    assert {name for name in imports_of(file) if name not in light} == set()


@pytest.mark.parametrize("file", CODE, ids=str)
def test_imports_stand_at_the_top(file):
    """Only a command's main imports what it needs once its arguments are parsed."""
    tree = ast.parse((ROOT / file).read_text())
    mains = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main"]
    at_the_top = [*tree.body, *(node for main in mains for node in main.body)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            assert node in at_the_top, f"line {node.lineno}"


@pytest.mark.parametrize("file", CODE, ids=str)
def test_files_and_functions_are_short(file):
    source = (ROOT / file).read_text()
    assert len(source.splitlines()) <= MOST_LINES
    long = [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= MOST_LINES_OF_A_FUNCTION
    ]
    assert long == []
    assert "as study\n" not in source


@pytest.mark.parametrize("file", COMMANDS, ids=str)
def test_help_needs_nothing_heavy(file):
    name = ".".join(file.with_suffix("").parts)
    code = f"import sys; sys.argv = ['{file}', '--help']; import runpy; runpy.run_module('{name}', run_name='__main__')"
    heavy = "torch transformers nilearn scipy pandas numpy".split()
    code = f"import atexit, sys; atexit.register(lambda: print(sorted(set({heavy}) & set(sys.modules)))); {code}"
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "usage:" in printed
    assert printed.splitlines()[-1] == "[]"
