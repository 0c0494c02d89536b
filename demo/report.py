"""Print the curve of the embedded study, and whether what was put in has been found.

    LTBA_DIR=embedded_study python -m demo.report

reads fig/small_lm_en_curves.csv and null/fig/small_lm_en_curves.csv, which the notebook writes in
the study folder. Ends with status 1 if the known truth is not recovered.
"""

import sys

import pandas as pd

import llm_brain_asym as study

# The untrained model and the null listener show no asymmetry beyond this; the trained model does.
NEGLIGIBLE = 0.01
CLEAR = 0.05


def main():
    place = study.figure_path("small_lm_en_curves.csv")
    curve = pd.read_csv(place)
    null = pd.read_csv(study.study_folder() / "null" / "fig" / place.name)
    table = curve.assign(null_listener=null["left_minus_right"]).drop(columns="revision").astype({"tokens": int})
    print(table.to_string(index=False, float_format="{:.4f}".format))
    print()
    found = [
        claim(
            f"the untrained model shows no asymmetry: {table['left_minus_right'].iloc[0]:+.4f}",
            abs(table["left_minus_right"].iloc[0]) < NEGLIGIBLE,
        ),
        claim(
            f"the trained model predicts the left better: {table['left_minus_right'].iloc[-1]:+.4f}",
            table["left_minus_right"].iloc[-1] > CLEAR and table["low"].iloc[-1] > 0,
        ),
        claim(
            f"the null listener is symmetric throughout: at most {table['null_listener'].abs().max():.4f}",
            table["null_listener"].abs().max() < NEGLIGIBLE,
        ),
    ]
    print(f"\nfigures and tables: {place.parent}")
    print("The language and the listener are made, and it is known what drives them: this shows that the")
    print("pipeline finds a known truth. It is no evidence about brains.")
    sys.exit(0 if all(found) else 1)


def claim(words, holds):
    """Print what should be found and whether it was."""
    print(f"{'found' if holds else 'NOT FOUND'}: {words}")
    return holds


if __name__ == "__main__":
    main()
