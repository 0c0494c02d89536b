"""Write a study on a page that needs no further file and no network: figures, curves, words, a brain to click in.

    LTBA_DIR=embedded_study python -m report.page --model small_lm --lang en

reads files that analyze_results.ipynb wrote in fig/ of the study folder ({prefix} is {model}_{lang}),

    {prefix}_curves.csv, {prefix}_summary.txt, {prefix}_{figure}.png
    {prefix}_brain.nii.gz, {prefix}_asymmetry.nii.gz     a volume per row of the curves

and mask_lpp_{lang}.nii.gz, isc_10trials_{lang}.gz and the optional note.txt, with which the page begins; writes
fig/report.html. The page contains the figures that exist.
report/page.html is the page without its content, with its script; report/surface.js draws the cortex.
"""

import html
import json
import string
import struct
from base64 import b64encode
from pathlib import Path

import numpy as np

from pipeline.brain.scores import select_reliable_voxels
from pipeline.errors import InputError, explain_errors
from pipeline.statistics.intervals import describe_tokens, format_with_interval, round_to
from pipeline.words.languages import LANGUAGES
from report.surface_viewer import embed_surface
from report.viewer import embed_viewers, encode_base64
from study.command_line import ArgumentParser, checkpoint_name, run_script
from study.files import images
from study.files.atomic import write_whole
from study.files.tables import read_values
from study.files.texts import read_lines
from study.inputs.le_petit_prince import read_isc, read_mask
from study.jobs import check_writable
from study.paths import checkpoint_stem, describe_study_folder, figure_path, note_path

NOTEBOOK = "analyze_results.ipynb makes it"
ONE_COLUMN_PIXELS = 1200  # figures of several panels are wider
FIGURES = """
# brain_scores | Both hemispheres
Brain score (mean correlation r of measured and predicted signal) of both hemispheres over training, with each voxel's
layer chosen on other runs and, lighter, at its best layer. Bands, here and below, are 95 % intervals.
# left_minus_right | Left minus right
Their difference over training, with each voxel's layer chosen on other runs and, lighter, at its best layer. The dark
band is pointwise. The light band is simultaneous: it holds for the whole curve.
# controls | More than reliability?
Left minus right, and controls that a difference in reliability between the hemispheres does not move, or moves less.
# baselines | Above which line does it rise?
Left minus right over training, and that of features without grammar.
# benchmarks | What the model can do
Left minus right, in black, over every benchmark, each scaled from the plateau before its rise (0) to the plateau after
it (1). Formal: does the model know the language? Functional: can it use the language for a task?
# acceptability | Generated texts
Acceptability of generated texts by prompt and by classifier.
# transitions | When it happens
When every curve rises (its midpoint) and how sharply, and where no transition is shown; how much of left minus right
the transition of each benchmark explains (alignment: 0 nothing, 1 all), and by how much it moves first (lead). An
arrow: the rise is not over, or had begun before the first checkpoint, and the true value may lie further on.
# claims | How the claim moves
Alignment with formal minus functional benchmarks, with each benchmark left out, and with disputed benchmarks on the
other side. An unknown alignment has its most unfavourable value.
# regions | Regions
Left minus right in seven language regions (TP temporal pole, aSTS and pSTS superior temporal sulcus, AG/TPJ angular
gyrus, BA Brodmann areas) and the cerebellum.
# atlas | Regions of the atlas
Left minus right in the regions of the study's atlas.
# brain | Brain scores of all voxels
Brain scores of all voxels over training, in a glass brain.
# asymmetry | Left minus mirror image
Each voxel of the left minus its mirror image on the right, at the last checkpoint.
# emergence | When a difference emerges
The training tokens at which a difference between mirrored voxels has risen by half, where it rises beyond chance. Its
first appearance may be earlier.
# layers | Layers
Either hemisphere at every layer.
# comparison | Comparison
Several models or languages.
"""
PUBLISHED = ["left", "right", "left_minus_right", "low", "high"]
NESTED = [f"{name}_nested" for name in PUBLISHED]
COLUMNS = "training tokens, brain score left and right, left minus right, its 95 % interval, "
BEST_LAYER = "the same at each voxel's best layer (as published, biased upwards on both sides), "
LAYERS = {
    True: "with layers chosen, in each run, on the other runs; the maps show all voxels, likewise",
    False: "each at its best layer; the maps show all voxels, likewise, and all scores are biased upwards",
}


def main():
    """Write the page of a model and a language."""
    parser = ArgumentParser(__doc__)
    model_help = "as for the notebook: the model without a revision"
    parser.add_argument("--model", type=checkpoint_name, required=True, help=model_help)
    parser.add_argument("--lang", choices=LANGUAGES, default="en", help="language of the story (default: en)")
    parser.add_argument("--output", type=Path, help="the page (default: fig/report.html in the study folder)")
    args = parser.parse_args()
    name = checkpoint_stem(args.model)
    path = args.output or figure_path("report.html")
    check_writable(path)
    page = fill_page(name, args.lang)
    with write_whole(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    print(f"{path} ({path.stat().st_size / 1e6:.1f} MB): the study of {name} ({args.lang}) on a page")


def fill_page(name, lang):
    """Fill the page of a model, as in file names, and a language, and return it.

    An InputError is raised if a file of the notebook is missing or damaged, or files belong to different checkpoints.
    """
    prefix = f"{name}_{lang}"
    curves = read_curves(figure_path(f"{prefix}_curves.csv"))
    summary = "\n".join(read_lines(require_figure(figure_path(f"{prefix}_summary.txt"))))
    mask = read_mask(lang)
    brain, asymmetry = (
        read_volumes(figure_path(f"{prefix}_{name}.nii.gz"), mask, len(curves)) for name in ("brain", "asymmetry")
    )
    reliable = select_reliable_voxels(read_isc(lang, n_voxels=brain.shape[1]))
    content = {
        "checkpoints": [describe_checkpoint(row) for row in curves.to_dict("records")],
        "inside": encode_base64(np.asarray(mask.dataobj) != 0),
        "shape": mask.shape,
        "affine": mask.affine.tolist(),
        "to_voxel": np.linalg.inv(mask.affine).tolist(),
        "maps": embed_viewers(brain, asymmetry, mask, reliable=reliable),
        "surface": embed_surface(brain, mask),
    }
    note = " ".join(read_lines(note_path())) if note_path().is_file() else ""
    page, script = (Path(__file__).with_name(file).read_text(encoding="utf-8") for file in ("page.html", "surface.js"))
    template = string.Template(page)
    return template.substitute(
        title=html.escape(f"{name} ({lang})"),
        note=f'<p class="note">{html.escape(note)}</p>' if note else "",
        summary=html.escape(summary),
        last=len(curves) - 1,
        table=format_table(curves),
        layers=LAYERS["left_nested" in curves],
        columns=f"{COLUMNS}{BEST_LAYER if 'left_nested' in curves else ''}controls and benchmarks",
        figures="\n".join(embed_figures(prefix)),
        surface_script=script,
        content=json.dumps(content).replace("<", "\\u003c"),  # "</script>" would end the script
    )


def require_figure(path):
    """Return the path of a file of the notebook, or raise InputError."""
    if not path.is_file():
        raise InputError(f"{path} is missing: {NOTEBOOK} ({describe_study_folder()})")
    return path


def read_curves(path):
    """Read the curves, a row per checkpoint; all columns except revision and same_weights_as are floats.

    Left and right with layers chosen on other runs come first, where the table has them.
    """
    with explain_errors(require_figure(path), f"{NOTEBOOK} again"):
        words = ["revision", "same_weights_as"]
        curves = read_values(path, text=words)
        nested = NESTED if "left_nested" in curves else []
        first = curves[["revision", "tokens", *nested, *PUBLISHED]]
        curves = first.join(curves.drop(columns=first.columns))
        if curves.empty:
            raise ValueError("no checkpoint")
        if "same_weights_as" in curves:
            curves["same_weights_as"] = curves["same_weights_as"].fillna("")
        return curves.astype({name: float for name in curves if name not in words})


def read_volumes(path, mask, n_checkpoints):
    """Read the values of a map's voxels, float32 array (n_checkpoints, n_voxels)."""
    with explain_errors(require_figure(path), f"{NOTEBOOK} again"):
        try:
            volumes = images.read_image(path).get_fdata(dtype=np.float32)
        except InputError as error:  # the remedy here is the notebook
            raise ValueError(str(error).removeprefix(f"{path}: ")) from error
        volumes = volumes if volumes.ndim == 4 else volumes[..., None]
        if volumes.shape != (*mask.shape, n_checkpoints):
            raise ValueError(f"shape {volumes.shape}, with {n_checkpoints} checkpoints and a mask of {mask.shape}")
        if not np.isfinite(volumes).all():
            raise ValueError("values that are not finite")
        return np.ascontiguousarray(volumes[np.asarray(mask.dataobj) != 0].T)


def describe_checkpoint(row):
    """Return the words and numbers next to the slider at a checkpoint."""
    left, right, difference, low, high = (row[name] for name in (NESTED if "left_nested" in row else PUBLISHED))
    difference, _, interval = format_with_interval(difference, low, high).rstrip(")").partition(" (")
    same = row.get("same_weights_as", "")
    return {
        "revision": row["revision"] + (f" (the same weights as {same})" if same else ""),
        "tokens": f"{describe_tokens(row['tokens'])} training tokens",
        "left": round_to(4)(left),
        "right": round_to(4)(right),
        "difference": difference,
        "interval": interval,
    }


def format_table(curves):
    """Write the curves as an HTML table."""
    headings = ["left", "right", "left minus right", "95 % low", "95 % high"]
    names = {"same_weights_as": "same weights as", **dict(zip(PUBLISHED, headings, strict=True))}
    if "left_nested" in curves:
        names |= {name: f"{names[name]}, best layer" for name in PUBLISHED}
        names |= dict(zip(NESTED, headings, strict=True))
    shown = curves.assign(tokens=curves["tokens"].map(describe_tokens)).rename(columns=names)
    return shown.to_html(index=False, border=0, float_format="{:.4f}".format, na_rep="", escape=True)


def embed_figures(prefix):
    """Yield the figures that exist, in HTML."""
    for text in FIGURES.split("\n# ")[1:]:
        title, *lines = text.splitlines()
        name, heading = title.split(" | ")
        caption = " ".join(lines)
        path = figure_path("comparison.png" if name == "comparison" else f"{prefix}_{name}.png")
        if path.is_file():
            image = path.read_bytes()
            width, height = struct.unpack(">II", image[16:24])  # as every PNG begins
            yield (
                f'<figure class="{"two" if width > ONE_COLUMN_PIXELS else "one"}-columns">\n<h3>{heading}</h3>\n'
                f'<div><img src="data:image/png;base64,{b64encode(image).decode()}" width="{width}" height="{height}" '
                f'alt="{caption}"></div>\n<figcaption>{caption}</figcaption>\n</figure>'
            )


if __name__ == "__main__":
    run_script(main)
