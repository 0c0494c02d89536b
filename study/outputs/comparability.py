"""Find differences between the checkpoints of one curve: options, parts of benchmarks, gaps."""

import glob
import json

from pipeline.tasks import lm_eval_results
from pipeline.tasks.table import BENCHMARKS
from study import paths
from study.baselines import is_baseline
from study.inputs.lm_eval import read_lm_eval_runs
from study.outputs.same_weights import describe_weights
from study.outputs.scoring import SCORING_OPTIONS, describe_other_scorings
from study.outputs.tasks import describe_other_parts, read_parts
from study.records import find_changed_input, read_record


def find_differences(model, checkpoints, lang, lm_eval=None):
    """Find differences in how the checkpoints of one curve were treated, a list of sentences.

    The function compares the options on record of fits, activations, benchmarks and the first text, the paradigms and
    pairs of benchmarks, and the settings of lm_eval. It also finds fits that are older than their inputs, and
    weights that are shared (see ``describe_weights``).

    Parameters
    ----------
    model, lang : str
    checkpoints : pandas.DataFrame with columns stem, revision, ..., as ``find_fitted_checkpoints`` returns it
    lm_eval : optional, as ``read_lm_eval_files`` returns it, for callers that have read the files
    """
    stems, sentences = checkpoints["stem"], []
    outputs = {"the fit": [paths.run_correlations_path(stem, lang) for stem in stems]}
    outputs["activations"] = [paths.activations_path(stem, lang) for stem in stems]
    for benchmark in BENCHMARKS:
        outputs[benchmark] = [paths.benchmark_path(stem, benchmark) for stem in stems]
        sentences += describe_other_parts(benchmark, checkpoints["revision"], *read_parts(benchmark, stems))
        sentences += describe_other_scorings(benchmark, checkpoints["revision"], stems)
    outputs["texts"] = [paths.generated_text_path(stem, 0, 0, paths.generated_texts_folder()) for stem in stems]
    for stage, files in outputs.items():
        records = [record for path in files if (record := read_record(path).get("parameters"))]
        for name in sorted(set().union(*records) - {"revision", *SCORING_OPTIONS}):
            values = {json.dumps(record.get(name)) for record in records}
            if len(values) > 1:
                sentences.append(f"{stage}: made with {name} {' and '.join(sorted(values))} at different checkpoints")
    for stem in stems:
        made_from = [paths.activations_path(stem, lang), paths.onsets_offsets_path(lang)]
        made_from += paths.average_subject_files(lang)
        # Copies do not count: in a study that was copied, gigabytes would have to be read.
        if file := find_changed_input(paths.run_correlations_path(stem, lang), made_from, counts_copies=False):
            sentences.append(f"the fit of {stem} was made from another {file.name}: fit_average_subject.py --overwrite")
    sentences += lm_eval_results.choose_curves(read_lm_eval_runs(model, checkpoints["revision"], lm_eval))[1]
    return sentences + describe_weights(checkpoints)


def find_gaps(model, checkpoints, benchmarks, lang):
    """Find stages and checkpoints that have not been run yet, a list of sentences.

    ``checkpoints`` is as ``find_fitted_checkpoints`` returns it, ``benchmarks`` as ``read_benchmarks`` returns it.
    """
    sentences = []
    pattern = paths.activations_path(f"{glob.escape(paths.checkpoint_stem(model))}_*", lang)
    ending = pattern.name.rpartition("*")[2]
    stems = [path.name.removesuffix(ending) for path in pattern.parent.glob(pattern.name)]
    extracted = {f"{stem}{ending}" for stem in stems if not is_baseline(stem)}
    if waiting := sorted(extracted - {paths.activations_path(stem, lang).name for stem in checkpoints["stem"]}):
        sentences.append(f"extracted and not fitted, or not known how long they were trained: {', '.join(waiting)}")
    if missing := [benchmark for benchmark in (*BENCHMARKS, "acceptability") if benchmark not in benchmarks]:
        sentences.append(f"not run for any fitted checkpoint: {', '.join(missing)}")
    for benchmark in benchmarks:
        gaps = checkpoints["revision"][benchmarks[benchmark].isna().to_numpy()]
        if len(gaps):
            sentences.append(f"{benchmark} has no value at {', '.join(gaps)}")
    return sentences
