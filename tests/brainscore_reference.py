"""Score made assemblies with brainscore-language, and write its numbers: the expected values of the tests.

    .venv-brainscore/bin/python tests/brainscore_reference.py FOLDER

writes FOLDER/expected.json, and FOLDER/assy_made.nc by brainscore_core's own writer. ``make .venv-brainscore/made``
makes the environment: brainscore-language needs NumPy 1, so that it cannot live in .venv. The functions that make
arrays use NumPy only, and the tests import them.
"""

import json
import sys
from pathlib import Path

import numpy as np

N_GROUPS, N_PARTS = 12, 5
SUBJECTS = np.repeat(["s1", "s2", "s3", "s4", "s5"], [3, 2, 3, 4, 2])
WIDTHS = {"wide": 90, "narrow": 5}  # more and fewer features than samples


def make_arrays():
    """Return responses (60, 14), features by name, and the group of each sample, of one latent source and noise."""
    rng = np.random.default_rng(0)
    n_samples = N_GROUPS * N_PARTS
    source = rng.standard_normal((n_samples, 6))
    responses = source @ rng.standard_normal((6, len(SUBJECTS))) + 0.8 * rng.standard_normal((n_samples, len(SUBJECTS)))
    features = {
        name: source @ rng.standard_normal((6, width)) + rng.standard_normal((n_samples, width))
        for name, width in WIDTHS.items()
    }
    groups = np.repeat([f"topic{group}" for group in range(N_GROUPS)], N_PARTS)
    return responses, features, groups


def list_stimulus_ids(groups):
    """Return the identifiers of samples, whose alphabetical order is the order of the samples."""
    return np.array([f"made.{number:02d}" for number in range(len(groups))])


def main(folder):
    """Write the numbers of brainscore-language."""
    import warnings

    warnings.simplefilter("ignore")
    from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
    from brainscore_core.supported_data_standards.brainio.packaging import write_netcdf
    from brainscore_language.benchmarks.blank2014.ceiling import ExtrapolationCeiling
    from brainscore_language.metrics.cka.metric import CKACrossValidated, CKAMetric
    from brainscore_language.metrics.linear_predictivity.metric import linear_pearsonr, ridge_pearsonr
    from brainscore_language.metrics.rdm.metric import RDMCrossValidated, RDMMetric

    responses, features, groups = make_arrays()

    def assemble(values, subjects):
        n_samples, n_columns = values.shape
        presentation = {
            "stimulus_id": list_stimulus_ids(groups),
            "story": groups,
            "stimulus_num": np.arange(n_samples),
            "passage_label": groups,
            "stimulus": [f"Sentence {number} is made." for number in range(n_samples)],
            "experiment": ["384sentences"] * n_samples,
        }
        neuroid = {"neuroid_id": [f"n{number:03d}" for number in range(n_columns)], "subject": subjects}
        coords = {name: ("presentation", column) for name, column in presentation.items()}
        coords |= {name: ("neuroid", column) for name, column in neuroid.items()}
        return NeuroidAssembly(values, coords=coords, dims=["presentation", "neuroid"])

    target = assemble(responses, SUBJECTS)
    metrics = {
        "linear_shuffled": linear_pearsonr(crossvalidation_kwargs={"splits": 10, "train_size": 0.9, "random_state": 1}),
        "ridge_groups": ridge_pearsonr(
            crossvalidation_kwargs={"splits": 4, "split_coord": "story", "kfold": "group", "random_state": 1234}
        ),
    }
    expected = {}
    for name, values in features.items():
        source = assemble(values, ["model"] * values.shape[1])
        for metric_name, metric in metrics.items():
            score = metric(source, target)
            key = f"{metric_name}_{name}"
            by_split = score.raw.transpose("split", "neuroid")
            assert list(by_split["neuroid_id"].values) == [f"n{number:03d}" for number in range(len(SUBJECTS))]
            expected[key] = {"raw": float(score), "correlations": by_split.values.tolist()}
        expected[f"cka_{name}"] = float(CKAMetric()(source, target))
        expected[f"cka_subsets_{name}"] = float(CKACrossValidated()(source, target))
        expected[f"rdm_{name}"] = float(RDMMetric()(source, target))
        expected[f"rdm_subsets_{name}"] = float(RDMCrossValidated()(source, target))
    for metric_name, metric in metrics.items():
        ceiling = ExtrapolationCeiling(subject_column="subject")(target, metric)
        by_neuroid = ceiling.raw.sortby("neuroid_id")
        expected[f"ceiling_{metric_name}"] = {"ceiling": float(ceiling), "by_neuroid": by_neuroid.values.tolist()}
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")
    target.attrs["identifier"] = "made"
    write_netcdf(target, folder / "assy_made.nc")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
