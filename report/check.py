"""Make every check that a later stage would make, before it costs days: ``python llm_brain_asym.py --check``.

The checks call the functions that the stages call. They also describe the study, which may be complete and still
not the intended study.
"""

import numpy as np
from nibabel.affines import voxel_sizes

from pipeline.brain.hemispheres import assign_hemispheres, average_sides, find_mirror_voxels
from pipeline.brain.regions import make_atlas_regions, make_cerebellum, make_spheres
from pipeline.brain.scores import select_reliable_voxels
from pipeline.brain.voxels import compute_positions
from pipeline.encoding.hrf import TR_S
from pipeline.encoding.signals import TRIM_SCANS
from pipeline.errors import InputError, add_context
from pipeline.wording import shorten
from report import check_outputs, overview, states
from report.inputs import find_inputs
from study import paths
from study.checkpoints import find_unused_token_rows, read_tokens_table
from study.files import images
from study.files.tables import parse_numbers
from study.inputs import le_petit_prince
from study.inputs.blimp_zorro import read_blimp, read_zorro
from study.inputs.lm_eval import read_lm_eval_files
from study.inputs.story import check_same_timings, make_hrf_matrices, place_words, prepare_fmri, read_story
from study.require import require_input

# The TR may be wrong where words fill less of the scans than this share, and leave a longer rest than this. A rest of
# 20 s is harmless in any case: the fit cuts off 20 s.
LEAST_SHARE_FILLED, LONGEST_REST_S = 0.85, 20.0
LEAST_SHARE_MIRRORED = 0.8


class Results:
    """Collect results of checks: lines that describe the study, warnings and errors, lists of str."""

    def __init__(self):
        self.lines, self.warnings, self.errors = [], [], []

    def attempt(self, function, *arguments):
        """Return the value of a function; record an InputError, and return None."""
        try:
            return function(*arguments)
        except InputError as error:
            self.error(str(error))
            return None

    def line(self, name, function, *arguments):
        """Add the line that a function returns, if any, after a name; record an InputError."""
        text = self.attempt(function, *arguments)
        if text:
            self.lines.append(f"{name:<15} {text}")

    def warn(self, text):
        """Add a warning, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def error(self, text):
        """Add an error, once: several checks may read the same file."""
        text = " ".join(text.split())
        if text not in self.errors:
            self.errors.append(text)

    def in_words(self):
        """Return everything as text: lines, warnings, errors, and a summary."""
        warnings = [f"warning: {text}" for text in self.warnings]
        lines = [*self.lines, *warnings, *(f"error: {text}" for text in self.errors)]
        if not self.errors:
            n = len(self.warnings)
            lines.append(f"no error, {n} warning{'s' if n > 1 else ''}" if n else "nothing is wrong")
        return "\n".join(lines)


def check_study(lang):
    """Check all inputs and outputs of a study in one language, and return Results.

    A new check is one more call of ``line`` or ``attempt``.
    """
    results = Results()
    results.attempt(le_petit_prince.read_texts, lang)  # separately: one error must not hide the other
    results.attempt(le_petit_prince.read_word_timings, lang)
    results.line("story", describe_story, lang)
    results.line("fMRI", describe_fmri, results, lang)
    results.line("mask", describe_mask, results, lang)
    results.line("ISC", describe_isc, lang)
    if paths.mask_path(lang).is_file():
        results.line("regions", describe_regions, lang)
    for row in find_inputs(lang):
        if row["is_optional"]:
            results.line(row["what"], describe_optional, row, lang)
    lm_eval = read_lm_eval_files()
    for sentence in lm_eval[1]:
        results.error(sentence)
    table = results.attempt(states.tabulate_states, lang, lm_eval)
    if table is not None:
        for sentence in [*overview.describe_parts(table)[1], *overview.describe_weights_of_models(table)]:
            results.warn(sentence)
        for note in overview.describe_lm_eval(table, lm_eval):
            if note not in results.errors:
                results.warn(f"lm_eval: {note}")
        if paths.tokens_table_path().is_file():
            results.attempt(check_tokens_table, results, table)
        results.line("checkpoints", check_outputs.check_outputs, results, table, lang, lm_eval)
    baselines = results.attempt(states.tabulate_baselines, lang)
    if baselines is not None:
        results.line("baselines", check_outputs.check_baselines, results, baselines, lang)
    return results


def describe_story(lang):
    """Return the numbers of runs and words of the story in words, as the extraction reads them."""
    texts, words_of_runs, onsets_offsets = read_story(lang)
    spans = np.concatenate(place_words(words_of_runs, texts, lang))
    check_same_timings(onsets_offsets, lang)
    n_lost = int((spans[:, 0] == spans[:, 1]).sum())
    places = f"{n_lost:,} of them not in the text" if n_lost else "all placed in the text"
    return f"{len(texts)} runs, {len(spans):,} words of {le_petit_prince.count_timing_rows(lang):,} rows, {places}"


def describe_fmri(results, lang):
    """Return the numbers of runs, scans and voxels in words, and where the story ends, as the fit reads them."""
    fmri = le_petit_prince.read_average_subject(lang)
    n_scans, n_voxels = [len(run) for run in fmri], fmri[0].shape[1]
    line = f"{len(fmri)} runs, {sum(n_scans):,} scans of {n_voxels:,} voxels"
    if paths.mask_path(lang).is_file():
        mask = results.attempt(le_petit_prince.read_mask, lang)
        if mask is not None and n_voxels != (inside := len(compute_positions(mask))):
            path = paths.average_subject_path(lang, 0)
            results.error(f"{path} has other voxels ({n_voxels:,}) than {paths.mask_path(lang)} ({inside:,})")
    if min(n_scans) > 2 * TRIM_SCANS + 1 and paths.word_timings_path(lang).is_file():
        ends = results.attempt(compare_ends, results, n_scans, lang)
        line += f"; {ends}" if ends else ""
    if not all(np.allclose(run.mean(axis=0), 0, atol=0.01) for run in fmri):
        line += "; not z-scored, which the fit does"
    results.attempt(prepare_fmri, fmri, lang)
    return line


def compare_ends(results, n_scans, lang):
    """Return in words where the story ends in the scans; warn where the words fill too little of them."""
    path = paths.word_timings_path(lang)
    onsets_offsets = [(onsets, offsets) for _, onsets, offsets in le_petit_prince.read_word_timings(lang)]
    make_hrf_matrices(onsets_offsets, path, n_scans, lang)
    last_s = np.array([offsets.max() for _, offsets in onsets_offsets])
    end_s = np.array(n_scans) * TR_S
    share = last_s / end_s
    is_short = (share < LEAST_SHARE_FILLED) & (end_s - last_s > LONGEST_REST_S)
    where = f"{share[0]:.0%}" if np.ptp(share) < 0.005 else f"{share.min():.0%} to {share.max():.0%}"
    if np.median(share) < LEAST_SHARE_FILLED and is_short.mean() > 0.5:
        results.warn(
            f"{paths.average_subject_path(lang, 0).parent}: the words fill only {where} of the scans. Is the TR "
            f"{np.median(last_s / n_scans):.2f} s? The fit takes {TR_S:g} s: resample the fMRI to that, or cut off "
            "the scans after the story."
        )
    else:
        for run in np.flatnonzero(is_short):
            results.warn(
                f"{paths.average_subject_path(lang, run)}: its last word ends at {last_s[run]:.0f} of "
                f"{end_s[run]:.0f} s. Are rows missing in section {run + 1} of {path.name}?"
            )
    return f"the story ends at {where} of the scans ({last_s[0]:.0f} of {end_s[0]:.0f} s in run-0)"


def describe_mask(results, lang):
    """Return the numbers of voxels on either side of the mask in words, as the notebook reads it."""
    path, mask = paths.mask_path(lang), le_petit_prince.read_mask(lang)
    with add_context(path):
        left, right = assign_hemispheres(mask)
        mirror = find_mirror_voxels(mask)
    share = (mirror >= 0).mean()
    if not images.is_in_published_order(path):
        results.warn(
            f"{path}: its voxels are not stored from left to right, back to front, below to above (RAS), as those of "
            "the published masks are. fMRI, ISC and correlations must be in its order, or sides are wrong."
        )
    if share < LEAST_SHARE_MIRRORED:
        results.warn(f"{path}: only {share:.0%} of its voxels have a mirror image in it. Is a hemisphere missing?")
    sizes = [f"{size:.3g}" for size in voxel_sizes(mask.affine)]
    size = sizes[0] if len(set(sizes)) == 1 else " x ".join(sizes)
    sides = f"{left.sum():,} left, {right.sum():,} right, {(~left & ~right).sum():,} on the midline"
    return f"{len(left):,} voxels of {size} mm; {sides}; {images.describe_sides(path)}"


def describe_isc(lang):
    """Return the numbers of reliable voxels in words, as the notebook reads them."""
    require_input(paths.isc_path(lang), le_petit_prince.LATERALIZATION)
    left, right = assign_hemispheres(le_petit_prince.read_mask(lang))
    isc = le_petit_prince.read_isc(lang, n_voxels=len(left))
    with add_context(paths.isc_path(lang)):
        reliable = select_reliable_voxels(isc)
        average_sides(isc, left & reliable, right & reliable)
    sides = f"{(reliable & left).sum():,} left, {(reliable & right).sum():,} right"
    return f"{len(isc)} trials; {reliable.sum():,} reliable voxels, {sides}"


def describe_regions(lang):
    """Return in words which language regions lie in the mask."""
    mask = le_petit_prince.read_mask(lang)
    regions = make_spheres(mask) | {"cerebellum": make_cerebellum(mask)}
    empty = [name for name, sides in regions.items() if not all(side.any() for side in sides)]
    without = f"; without: {', '.join(empty)}" if empty else ""
    return f"{len(regions) - len(empty)} of {len(regions)} regions have voxels on both sides{without}"


def describe_optional(row, lang):
    """Return the content of an optional input in words; row as in ``find_inputs``."""
    # A clone without its data is damaged. An input that the user does not want has no folder at all.
    top = paths.study_folder() / row["path"].relative_to(paths.study_folder()).parts[0]
    if row["state"] == "not there (optional)" and (top == row["path"] or not top.is_dir()):
        return row["state"]
    if row["what"] in ("BLiMP", "Zorro"):
        pairs = read_blimp() if row["what"] == "BLiMP" else read_zorro()
        return f"{pairs['paradigm'].nunique()} paradigms, {len(pairs):,} pairs"
    if not row["is_there"]:
        raise InputError(f"{row['path']} {row['state']}. Move it away, or put the file there.")
    if row["what"] == "atlas":
        return describe_atlas(lang)
    rows = read_tokens_table()
    parse_numbers(rows["tokens"], row["path"])
    return f"{len(rows)} rows in {row['path'].name}"


def describe_atlas(lang):
    """Return the number of regions of the atlas in the mask in words, as the notebook reads them."""
    atlas = le_petit_prince.read_atlas()
    if not paths.mask_path(lang).is_file():
        return "there"
    with add_context(paths.atlas_path()):
        regions = make_atlas_regions(le_petit_prince.read_mask(lang), atlas)
    n_voxels = np.median([left.sum() for left, _ in regions.values()])
    sides = images.describe_sides(paths.atlas_path())
    return f"{len(regions)} regions on the left of the mask (median size: {n_voxels:g}); {sides}"


def check_tokens_table(results, table):
    """Warn of rows of training_tokens.csv that match no checkpoint."""
    checkpoints = zip(table["name"], table["revision"].fillna(""), strict=True)
    rows = find_unused_token_rows(checkpoints)
    if len(rows):
        unused = [f"{model} {revision}".strip() for model, revision in rows[["model", "revision"]].to_numpy()]
        results.warn(
            f"{paths.tokens_table_path()}: rows of no checkpoint so far: {shorten(unused)}. The model is "
            "its name on the hub, or the name of its folder; the revision is written as in --revision."
        )
