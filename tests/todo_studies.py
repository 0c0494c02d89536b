"""Share what tests of todo need."""

import shlex

import pytest

from pipeline.encoding.cross_validation import cross_validate

STEP1 = {"revision": "step1", "dtype": "float32"}


def run_line(call, line):
    """Run a printed command: (status, stdout, stderr)."""
    python, script, *options = shlex.split(line)
    assert python == "python"
    return call(script.removesuffix(".py"), *options)


def stop_fit(call, monkeypatch, n_layers, *options_of_fit):
    """Let a fit be stopped after some layers."""
    does, n_done = cross_validate, 0

    def fit(*arguments, **options):
        nonlocal n_done
        if n_done == n_layers:
            raise KeyboardInterrupt
        n_done += 1
        return does(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr("study.stages.fit.cross_validate", fit)
        with pytest.raises(KeyboardInterrupt):
            call("fit_average_subject", *options_of_fit)
