"""Read the results that only some studies have, unique variance and surprisal, as curves over training."""

from pipeline.brain.unique_variance import compute_unique_curves
from study.outputs.surprisal import compute_story_curves, select_rivals
from study.outputs.unique_variance import read_unique_scores
from study.paths import surprisal_path


def compute_further_curves(model, checkpoints, lang, left, right, blocks):
    """Compute curves of unique variance and of surprisal, where their files exist.

    Parameters
    ----------
    model, lang : str
    checkpoints : pandas.DataFrame with columns stem and revision, as ``report.results.read_fits`` returns it
    left, right, blocks : as for ``pipeline.brain.curves.compute_brain_curves``

    Returns
    -------
    controls : dict from name to Curve: unique_left_minus_right, and surprisal, to show next to left minus right
    rivals : dict from name to Curve, to compare with left minus right like benchmarks, as ``select_rivals`` returns it
    notes : list of str, a sentence for each part that is left out, and on the nuisance of the unique variance

    A file that is damaged raises InputError.
    """
    unique, nuisance, notes = read_unique_scores(checkpoints, lang)
    unique_curves = compute_unique_curves(unique, left, right, blocks)
    story_curves = compute_story_curves(model, checkpoints, lang)
    curves = unique_curves | story_curves
    controls = {name: curves[name] for name in ("unique_left_minus_right", "surprisal") if name in curves}
    lacking = [row.revision for row in checkpoints.itertuples() if not surprisal_path(row.stem, lang).is_file()]
    if story_curves and lacking:
        notes.append(f"surprisal was not computed for {', '.join(lacking)}")
    if nuisance:
        notes.append(f"unique variance is what the model explains in addition to {', '.join(nuisance)}")
    return controls, select_rivals(story_curves), notes
