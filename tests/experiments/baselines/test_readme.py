"""Run the commands of the README of baselines as bash expands them, on a small study."""

import re
import shlex
import subprocess

from helpers import ROOT, STEM

from study.baselines import is_baseline
from study.paths import run_correlations_path

README = ROOT / "experiments" / "baselines" / "README.md"
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", README.read_text(), flags=re.S | re.M)


def expand(script, folder):
    """Return the commands that bash would run, lists of words: python and jupyter only write down their arguments."""
    written = folder / "commands.txt"
    shim = "{name}() {{ printf '%q ' {name} \"$@\" >> " + shlex.quote(str(written)) + "; echo >> "
    shims = [shim.format(name=name) + f"{shlex.quote(str(written))}; }}" for name in ("python", "jupyter")]
    whole = "\n".join(["set -euo pipefail", *shims, "parallel() { cat > /dev/null; }", script])
    subprocess.run(["bash", "-c", whole], check=True, cwd=folder)
    return [shlex.split(line) for line in written.read_text().splitlines()]


def run_python(call, words):
    """Run one python command in this process; return what it prints."""
    module, options = (words[2], words[3:]) if words[1] == "-m" else (words[1].removesuffix(".py"), words[2:])
    status, printed, error = call(module, *options)
    assert status == 0, error
    return printed


def test_every_command_runs(fitting_study, call, tiny_checkpoint, tmp_path):
    assert call("extract_llm_activations", "--model", tiny_checkpoint, "--revision", "step8")[0] == 0
    assert call("fit_average_subject", "--model", STEM, "--alphas", 0, 5, 3)[0] == 0
    script = re.sub(r"^model=.*$", f"model={tiny_checkpoint}", "\n".join(BLOCKS), flags=re.M)
    script = re.sub(r"^revision=.*$", "revision=step8", script, flags=re.M)
    *commands, notebook = expand(script, tmp_path)
    assert notebook == ["jupyter", "execute", "analyze_results.ipynb"]  # tests/whole/ runs it
    assert (ROOT / notebook[2]).is_file()
    for words in commands:
        printed = run_python(call, words)
    fits = printed.splitlines()  # of --todo fit, the last command
    assert len(fits) == len(commands) - 1
    for line in fits:
        words = shlex.split(line)
        assert words[-4:] == ["--alphas", "0", "5", "3"]  # as the checkpoint
        run_python(call, words)
        stem = words[words.index("--model") + 1]
        assert is_baseline(stem)
        assert run_correlations_path(stem, "en").is_file()
    assert call("llm_brain_asym", "--todo", "fit")[1] == ""


def test_links_and_paths_exist():
    text = README.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        assert (README.parent / target).is_file(), target
    for path in re.findall(r"`((?:pipeline|study|report|experiments)/[\w/.]+)`", text):
        assert (ROOT / path).exists(), path
