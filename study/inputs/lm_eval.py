"""Read the results of the ``lm_eval`` command for the checkpoints of a study."""

from pipeline.tasks import lm_eval_results
from pipeline.tasks.table import BENCHMARKS
from study.inputs import lm_eval_files
from study.paths import checkpoint_stem, lm_eval_folder


def read_lm_eval_files():
    """Read all results in ``lm_eval_folder``, of all models, as ``lm_eval_files.read_folder`` does."""
    return lm_eval_files.read_folder(lm_eval_folder())


def read_lm_eval(model, revisions=None, files=None):
    """Return the results of the lm_eval command for the checkpoints of a model, with one kind of settings a task.

    Parameters
    ----------
    model : str
    revisions : sequence of str, optional, the checkpoints of the curve; by default, all evaluated checkpoints
    files : optional, as ``read_lm_eval_files`` returns it, so that several calls read the files once

    Returns
    -------
    pandas.DataFrame with columns revision, task, metric, value, stderr, n_shots, file
        As ``lm_eval_results.choose_curves`` chooses them: for each task, the settings of most checkpoints. The
        revision is a branch of the hub (``main`` by default), the sub-folder of a local model, or the empty str for
        a local model itself.
    """
    return lm_eval_results.choose_curves(read_lm_eval_runs(model, revisions, files))[0]


def read_lm_eval_runs(model, revisions=None, files=None):
    """Return all results of a model, of all settings, with the rows of ``lm_eval_files.read_results``."""
    results = lm_eval_files.select_model((files or read_lm_eval_files())[0], checkpoint_stem(model), revisions)
    is_name_taken = results["task"].isin([*BENCHMARKS, "acceptability"])  # blimp by lm_eval is not blimp by our script
    results.loc[is_name_taken, "task"] = "lm_eval_" + results.loc[is_name_taken, "task"]
    return results


def describe_lm_eval_files(models, files=None):
    """Describe the files of lm_eval that are not used for these models, a list of sentences.

    A sentence for each file that cannot be read or has no results, then the sentences of
    ``lm_eval_files.describe_unused``. ``files`` is as ``read_lm_eval_files`` returns it.
    """
    results, damaged, ignored = files or read_lm_eval_files()
    names = [checkpoint_stem(model) for model in models]
    return [*damaged, *ignored, *lm_eval_files.describe_unused(results, names, lm_eval_folder())]
