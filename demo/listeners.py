"""List the simulated listeners: what is put in, and which benchmarks their studies have."""

from demo.simulated_benchmarks import NAMES

FEW = ("blimp", "zorro", "counting", "coin", "twos")
GRAMMAR = {"syntactic": (0.30, 0.09)}  # shares of the left and of the right
SMALL = 0.265  # share of the right that gives a true left minus right of about .02 at the end


def _describe(options, *, is_flat=False, delay_s=0.0, benchmarks=FEW, truth=""):
    """Return a listener: arguments of ``listener.listen`` and what else makes its studies."""
    return {"options": options, "is_flat": is_flat, "delay_s": delay_s, "benchmarks": benchmarks, "truth": truth}


LISTENERS = {
    "asymmetric": _describe(GRAMMAR, benchmarks=NAMES, truth="the left follows the grammar more"),
    "symmetric": _describe({}, is_flat=True, truth="both hemispheres follow the grammar equally"),
    **{
        f"noisier_right_{ratio}": _describe(
            {"ceiling_ratio": ratio},
            truth=f"both follow the grammar equally; noise ceiling of the right {ratio} of the left's",
        )
        for ratio in (0.973, 0.922, 0.851)
    },
    "small_effect": _describe({"syntactic": (0.30, SMALL)}, truth="the left follows the grammar a little more"),
    "functional": _describe(
        {"syntactic": (0.15, 0.15), "counting": (0.45, 0.05)},
        truth="both follow the grammar equally; the left follows the counting more",
    ),
    **{
        f"field_{mm}_mm": _describe(
            {"field_mm": mm},
            is_flat=True,
            truth=f"both follow the grammar equally; the strength of response varies over voxels, smooth over {mm} mm",
        )
        for mm in (10, 20)
    },
    "late_hrf": _describe(GRAMMAR, delay_s=1.0, truth="as asymmetric, with an HRF that is late by 1 s"),
}
