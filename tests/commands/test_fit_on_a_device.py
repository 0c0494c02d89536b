"""Fit by the code of a GPU, PyTorch, on the CPU: the outputs are those of NumPy."""

import numpy as np
import pytest
import torch

from study.files.safe_joblib import write_arrays
from study.outputs.activations import read_onsets_offsets
from study.paths import activations_path


@pytest.mark.parametrize("has_nuisance", [False, True])
@pytest.mark.parametrize("n_units", [8, 300], ids=["few-units", "more-units-than-scans"])
def test_pytorch_and_numpy_write_the_same(tiny_study, extract, fit, monkeypatch, n_units, has_nuisance):
    assert extract()[0] == 0
    rng = np.random.default_rng(0)
    n_words = [len(onsets) for onsets, _ in read_onsets_offsets("en")]
    for name, width in [("lm", n_units), ("length", 2)]:
        runs = [[rng.standard_normal((n, width)) for _ in range(2)] for n in n_words]
        write_arrays(activations_path(name, "en"), runs)
    options = ["--model", "lm", "--alphas", 0, 5, 6, "--overwrite"] + (["--nuisance", "length"] if has_nuisance else [])
    outputs = []
    for device in (None, torch.device("cpu")):
        for stage in ("fit", "unique_variance"):
            monkeypatch.setattr(f"study.stages.{stage}.pick_fit_device", lambda _, device=device: device)
        status, _, error = fit(*options)
        assert status == 0, error
        (path,) = (tiny_study / "llms_brain_correlations").glob("*.npz")
        with np.load(path) as arrays:
            outputs.append(dict(arrays))
    for name, values in outputs[0].items():
        np.testing.assert_allclose(outputs[1][name], values, atol=1e-5 if "alphas" not in name else 0, err_msg=name)
