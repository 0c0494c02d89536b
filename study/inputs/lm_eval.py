"""Read what the ``lm_eval`` command measured for the checkpoints of a study."""

from pipeline.tasks import lm_eval_results
from pipeline.tasks.table import BENCHMARKS
from study.inputs import lm_eval_files
from study.paths import checkpoint_stem, lm_eval_folder


def read_lm_eval_files():
    """Read all that the lm_eval command left in ``lm_eval_folder``, of all models.

    Returns
    -------
    (results, damaged, ignored)
        As ``lm_eval_files.read_folder`` returns them. One file never keeps the others from being read.
    """
    return lm_eval_files.read_folder(lm_eval_folder())


def read_lm_eval(model, revisions=None, files=None):
    """Return what the lm_eval command measured for the checkpoints of a model, of one kind for each task.

    Parameters
    ----------
    model : str
    revisions : sequence of str, optional
        The checkpoints of the curve. Without them, all that were evaluated.
    files : optional
        As ``read_lm_eval_files`` returns it, for several calls that read the files once.

    Returns
    -------
    pandas.DataFrame with columns revision, task, metric, value, stderr, n_shots
        As ``lm_eval_results.choose_curves`` chooses it: for each task, the settings that most of these checkpoints
        have. The revision is a branch of the hub (``main`` where none was given), the sub-folder of a local
        model, or the empty str for a local model itself.
    """
    return lm_eval_results.choose_curves(read_lm_eval_runs(model, revisions, files))[0]


def read_lm_eval_runs(model, revisions=None, files=None):
    """Return all results of a model, of whatever settings: rows as ``lm_eval_files.read_results`` has them."""
    results = lm_eval_files.select_model((files or read_lm_eval_files())[0], checkpoint_stem(model), revisions)
    ours = results["task"].isin([*BENCHMARKS, "acceptability"])
    results.loc[ours, "task"] = "lm_eval_" + results.loc[ours, "task"]  # blimp by lm_eval is not our blimp
    return results


def describe_lm_eval_files(models, files=None):
    """Return what of lm_eval's files is not used, and why, a list of str.

    There is a sentence for each file that cannot be read or has no results, and ``lm_eval_files.describe_unused``.

    Parameters
    ----------
    models : sequence of str
        Models whose results are used.
    files : optional
        As ``read_lm_eval_files`` returns it.
    """
    results, damaged, ignored = files or read_lm_eval_files()
    names = [checkpoint_stem(model) for model in models]
    return [*damaged, *ignored, *lm_eval_files.describe_unused(results, names, lm_eval_folder())]
