"""Identify the version of this project: its git commit, and the source files that a stage uses."""

import ast
import functools
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("pipeline", "study", "report")


@functools.cache
def read_git_commit():
    """Return the git ``commit`` of this project (str), and whether tracked files have changed since (``has_changes``).

    Both are None in the dict where the project is not a git checkout, or git is not installed.
    """
    commit = _run_git("rev-parse", "HEAD")
    changes = _run_git("status", "--porcelain", "--untracked-files=no")
    if commit is None or changes is None or _run_git("rev-parse", "--show-prefix"):  # a folder of another repository
        return {"commit": None, "has_changes": None}
    return {"commit": commit, "has_changes": bool(changes)}


def _run_git(*arguments):
    """Return what a git command prints in the folder of this project, or None where it fails."""
    try:
        result = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()


@functools.cache
def find_source_files(module):
    """Return the source files that a module, as ``study.stages.fit``, and what it imports are in, a sorted list.

    Imports are followed through this project; other packages are recorded by their versions.
    """
    files, waiting = set(), [_find_file(module)]
    while waiting:
        file = waiting.pop()
        if file is not None and file not in files:
            files.add(file)
            waiting += [_find_file(name) for name in list_imported_names(file)]
    return sorted(files)


def list_imported_names(file):
    """Return the dotted names that a source file imports, a list of str."""
    names = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def _find_file(name):
    """Return the source file of a module of this project, or None for any other name."""
    if name.partition(".")[0] not in PACKAGES:
        return None
    path = ROOT.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)
