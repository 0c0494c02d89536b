"""Check the controls of left minus right against plain definitions, and on listeners that differ in reliability."""

import numpy as np
import pytest
from brains import BRAIN, CHECKPOINTS, planted, small_brain
from unequal_ceilings import compute_p_values, make_brain, simulate_scores

from pipeline.brain.controls import compute_control_curves, describe_control_gaps
from pipeline.brain.curves import CONTROL_COLUMNS, compute_brain_curves, tabulate_asymmetry
from pipeline.brain.hemispheres import assign_hemispheres, find_mirror_voxels
from pipeline.brain.reliability import compute_ceilings, match_mirror_pairs
from pipeline.errors import InputError
from pipeline.statistics.curve import Curve
from pipeline.transitions import flatness

NAMES = [
    "mean",
    "log_left_right",
    "relative_asymmetry",
    "ceiling_left_minus_right",
    "ceiling_hemisphere_left_minus_right",
    "matched_left_minus_right",
]


def make_isc(seed=0, spread=0.01):
    return np.random.default_rng(seed).normal(0.5, spread, (10, assign_hemispheres(BRAIN)[0].size))


def compute(scores, isc=None, left=None, right=None, blocks=None, **options):
    """The controls of scores (n_checkpoints, n_runs, n_voxels), or of a dict of them, of the small brain."""
    known_left, known_right = assign_hemispheres(BRAIN)
    left, right = known_left if left is None else left, known_right if right is None else right
    blocks = planted()[3] if blocks is None else blocks
    scores = scores if isinstance(scores, dict) else {"nested": scores}
    return compute_control_curves(scores, left, right, blocks, make_isc() if isc is None else isc, BRAIN, **options)


def compute_plainly(scores, left, right, isc, voxels):
    """Every control, followed plainly, of scores (n_voxels,); voxels (with repetition) are those of a resample."""
    lefts, rights = ([v for v in voxels if side[v]] for side in (left, right))
    ceilings = compute_ceilings(isc)
    pairs = match_mirror_pairs(isc, left, right, BRAIN)
    a, b = scores[lefts].mean(), scores[rights].mean()
    matched = [scores[[v for v in voxels if side[v]]].mean() for side in (pairs.left, pairs.right)]
    return {
        "mean": (a + b) / 2,
        "log_left_right": np.log(a) - np.log(b),
        "relative_asymmetry": (a - b) / (a + b),
        "ceiling_left_minus_right": (scores / ceilings)[lefts].mean() - (scores / ceilings)[rights].mean(),
        "ceiling_hemisphere_left_minus_right": a / ceilings[lefts].mean() - b / ceilings[rights].mean(),
        "matched_left_minus_right": matched[0] - matched[1],
    }


def test_every_control_is_its_definition_over_the_same_runs_and_blocks():
    rng = np.random.default_rng(1)
    scores, left, right, blocks = planted(noise=0.1)
    isc = make_isc()
    left = left & (rng.random(len(left)) < 0.9)
    voxels = np.flatnonzero(left | right)
    for name, curve in compute(scores, isc, left, right).items():
        expected = [compute_plainly(values.mean(axis=0), left, right, isc, voxels)[name] for values in scores]
        np.testing.assert_allclose(curve.values, expected, err_msg=name)

    silent = np.flatnonzero(left)[3]
    scores[1, 4, silent] = np.nan  # does not vary in a run
    curves = compute(scores, isc, left, right, n_resamples=6)
    assert list(curves) == NAMES
    left[silent] = False
    known = np.flatnonzero(left | right)
    draw = np.random.default_rng(0)
    runs = draw.multinomial(9, [1 / 9] * 9, size=6)
    numbers = np.unique(blocks[known])
    times = draw.multinomial(len(numbers), [1 / len(numbers)] * len(numbers), size=6)
    for resample in range(6):
        voxels = [v for v in known for _ in range(times[resample][numbers.tolist().index(blocks[v])])]
        for checkpoint in (0, 1):
            values = (runs[resample] @ scores[checkpoint]) / 9
            plain = compute_plainly(values, left, right, isc, voxels)
            for name, curve in curves.items():
                assert curve.resamples[resample, checkpoint] == pytest.approx(plain[name], abs=1e-6), name


def test_controls_are_drawn_with_left_minus_right():
    """At equal ceilings, dividing by the ceiling only scales the curve, in every resample."""
    scores, left, right, blocks = planted(noise=0.1)
    isc = np.full((10, len(left)), 0.5)
    difference = compute_brain_curves({"nested": scores}, left, right, blocks)["left_minus_right_nested"]
    curves = compute(scores, isc)
    ceiling = (2 * 0.25 / 1.25) ** 0.5
    for name in NAMES[3:5]:
        np.testing.assert_allclose(curves[name].resamples * ceiling, difference.resamples, atol=1e-12)
        np.testing.assert_allclose(curves[name].values * ceiling, difference.values, atol=1e-12)
    # All pairs are matched; the small brain is symmetric.
    np.testing.assert_allclose(curves["matched_left_minus_right"].resamples, difference.resamples, atol=1e-12)
    halved = compute(scores, isc, isc_kind="halves")["ceiling_left_minus_right"]
    np.testing.assert_allclose(halved.values * (2 / 3) ** 0.5, difference.values, atol=1e-12)


def test_layers_are_chosen_on_other_runs_where_runs_are_known():
    nested, maximum = planted()[0], planted(seed=1)[0]
    both = compute({"nested": nested, "maximum": maximum})
    np.testing.assert_array_equal(both["mean"].values, compute(nested)["mean"].values)
    averages = compute({"maximum": maximum.mean(axis=1, keepdims=True)})
    np.testing.assert_allclose(averages["mean"].values, compute(maximum)["mean"].values)
    assert all(np.isfinite(curve.values).all() and np.isnan(curve.resamples).all() for curve in averages.values())
    assert describe_control_gaps(averages, ["a", "b"]) == []  # no curve of this study has an interval


def test_a_side_that_is_not_above_zero_has_no_log_and_a_note():
    scores, left, right, _ = planted(noise=0.01)
    scores[0, :, right] -= 0.31
    curves = compute(scores)
    for name in ("log_left_right", "relative_asymmetry"):
        assert np.isnan(curves[name].values[0])
        assert np.isfinite(curves[name].values[1])
    notes = describe_control_gaps(curves, ["step1", "step2"])
    assert notes == [
        f"{name}: no interval at step1, since the mean of a side is not above 0, there or in more than one of twenty "
        "resamples"
        for name in ("log_left_right", "relative_asymmetry")
    ]
    scores[0, :, right] += 0.012  # the mean is just above 0, and many resamples are not
    curves = compute(scores + np.random.default_rng(0).normal(0, 0.02, (2, 9, 1)))
    few = np.isnan(curves["log_left_right"].resamples).mean(axis=0)
    assert few[0] > 0.05
    assert few[1] == 0
    assert describe_control_gaps(curves, ["step1", "step2"])[0].startswith("log_left_right: no interval at step1, ")
    table = tabulate_asymmetry(CHECKPOINTS, compute_brain_curves({"nested": scores}, left, right, planted()[3]), curves)
    assert table["log_left_right_low"].isna().tolist() == [True, False]


def test_without_an_isc_that_can_be_divided_by_there_are_no_ceilings_but_the_rest():
    curves = compute(planted()[0], isc=np.full((10, len(planted()[1])), 0.01))
    assert [name for name in NAMES if np.isnan(curves[name].values).all()] == NAMES[3:5]
    assert describe_control_gaps(curves, ["a", "b"]) == [
        f"{name}: not known, since a side has no voxel for it" for name in NAMES[3:5]
    ]
    # Pairs that differ by more than the caliper leave no matched pair.
    left, _ = assign_hemispheres(BRAIN)
    curves = compute(planted()[0], isc=np.tile(0.5 + 0.1 * left, (10, 1)))
    assert [name for name in NAMES if np.isnan(curves[name].values).all()] == NAMES[5:]


def test_a_grid_without_mirror_images_is_refused():
    scores, left, right, blocks = planted()
    shifted = small_brain(shift_mm=3)
    with pytest.raises(InputError, match="not symmetric about x = 0"):
        compute_control_curves({"nested": scores}, left, right, blocks, make_isc(), shifted)


def test_the_table_has_all_controls_after_what_was_there():
    scores, left, right, blocks = planted()
    sides = compute_brain_curves({"nested": scores, "maximum": scores}, left, right, blocks)
    controls = compute(scores)
    surprisal = Curve(np.array([5.0, 4.0]), np.array([[5.1, 4.1], [4.9, 3.9]]))
    checkpoints = CHECKPOINTS.assign(same_weights_as="")
    table = tabulate_asymmetry(checkpoints, sides, controls=controls | {"surprisal": surprisal})
    before = tabulate_asymmetry(CHECKPOINTS, sides)
    names = [f"{name}{end}" for name in CONTROL_COLUMNS for end in ("", "_low", "_high")]
    assert list(table.columns) == [*before.columns, *names, "same_weights_as"]
    np.testing.assert_array_equal(table[before.columns], before)
    assert table["unique_left_minus_right"].isna().all()
    assert table["surprisal"].tolist() == [5.0, 4.0]
    np.testing.assert_allclose(table["surprisal_low"], [4.905, 3.905])
    for name, curve in controls.items():
        np.testing.assert_array_equal(table[name], curve.values)
        np.testing.assert_allclose(table[f"{name}_high"], np.percentile(curve.resamples, 97.5, axis=0))


# ---------------------------------------------------------------- listeners that differ in reliability


def count_rises(monkeypatch, names, n_studies, **listener):
    """Simulate studies, and return the share in which each curve rises."""
    monkeypatch.setattr(flatness, "N_NULL_CURVES", 400)  # suffices for a test at 5 %
    counts = dict.fromkeys(names, 0)
    for seed in range(n_studies):
        for name, (p, rise) in compute_p_values(*simulate_scores(seed, **listener), names).items():
            counts[name] += p < 0.05 and rise > 0
    return {name: count / n_studies for name, count in counts.items()}


def test_the_simulated_ceilings_are_those_of_the_isc():
    _, isc = simulate_scores(0, ceiling_ratio=0.85)
    ceilings = compute_ceilings(isc)
    _, left, right, *_ = make_brain()
    assert ceilings[right].mean() / ceilings[left].mean() == pytest.approx(0.85, abs=0.01)
    assert (find_mirror_voxels(make_brain()[0]) >= 0).all()


@pytest.mark.parametrize(("ceiling_ratio", "least"), [(0.92, 0.2), (0.85, 0.8)])
def test_a_right_with_more_noise_moves_left_minus_right_but_not_its_controls(monkeypatch, ceiling_ratio, least):
    """Both hemispheres follow the model equally. 200 studies of each ratio: at most 5 % and two standard errors."""
    names = ["left_minus_right", "log_left_right"]
    shares = count_rises(monkeypatch, names, n_studies=200, ceiling_ratio=ceiling_ratio)
    assert shares["left_minus_right"] > least
    assert shares["log_left_right"] <= 0.05 + 2 * (0.05 * 0.95 / 200) ** 0.5


def test_a_true_asymmetry_is_found_by_every_control(monkeypatch):
    """Of the size of the embedded study, at equal ceilings."""
    shares = count_rises(monkeypatch, ["left_minus_right", *NAMES[1:]], n_studies=10, difference=0.117)
    assert set(shares.values()) == {1.0}
