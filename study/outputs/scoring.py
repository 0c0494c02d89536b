"""Find checkpoints whose sentences were scored in another way than those of most checkpoints of a curve."""

import collections

from study.paths import benchmark_path
from study.records import read_record

SCORING_OPTIONS = ("leading_space", "no_bos", "mean")


def mark_usual_scoring(benchmark, stems):
    """Return whether the sentences of each checkpoint were scored as those of most checkpoints, a list of bool.

    Without a record, the options are not known, and the checkpoint counts as scored in the usual way.
    """
    scorings, usual = _read_scorings(benchmark, stems)
    return [scoring in (None, usual) for scoring in scorings]


def describe_other_scorings(benchmark, names, stems):
    """Return a sentence for each way of scoring other than that of most checkpoints; names are for the sentences."""
    scorings, usual = _read_scorings(benchmark, stems)
    sentences = []
    for scoring in sorted({scoring for scoring in scorings if scoring not in (None, usual)}):
        members = ", ".join(name for name, scoring_here in zip(names, scorings, strict=True) if scoring_here == scoring)
        sentences.append(
            f"{benchmark} is scored {_name_options(scoring)} at {members}, and {_name_options(usual)} in the rest of "
            "the curve, and is left out there"
        )
    return sentences


def _read_scorings(benchmark, stems):
    """Return the scoring options in use at each checkpoint, tuples of str or None, and those of most checkpoints."""
    paths = [benchmark_path(stem, benchmark) for stem in stems]
    records = [read_record(path).get("parameters") if path.is_file() else None for path in paths]
    scorings = [
        None if record is None else tuple(name for name in SCORING_OPTIONS if record.get(name)) for record in records
    ]
    counts = collections.Counter(scoring for scoring in scorings if scoring is not None)
    # Of two that are equally common, the scoring with fewer options is the usual one.
    usual = min(counts, key=lambda scoring: (-counts[scoring], len(scoring), scoring), default=None)
    return scorings, usual


def _name_options(scoring):
    return f"with {' '.join(f'--{name}' for name in scoring)}" if scoring else "without options"
