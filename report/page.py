"""A study on one page that needs no other file and no network: figures, curves, words, and a brain to click in.

    LTBA_DIR=embedded_study python -m report.page --model small_lm --lang en

reads what analyze_results.ipynb has written in fig/ of the study folder ({prefix} is {model}_{lang}),

    {prefix}_curves.csv, {prefix}_summary.txt, {prefix}_{figure}.png
    {prefix}_brain.nii.gz, {prefix}_asymmetry.nii.gz     a volume per row of the curves

and mask_lpp_{lang}.nii.gz, isc_10trials_{lang}.gz and note.txt, with which the page begins, if there is one; writes
fig/report.html. Figures that are not there are left out.
report/page.html is the page without its content, with the few lines of script that it needs.

The brain is nilearn's viewer (view_img). It is in the page once a map; what the slider changes is the image
of coloured voxels in it. That viewer tells no values, so they are in the page too, as in the maps.
"""

import html
import itertools
import json
import re
import string
import struct
import warnings
from base64 import b64encode
from pathlib import Path

import nibabel
import numpy as np
from nibabel.affines import apply_affine
from nilearn.datasets import load_mni152_template
from nilearn.image import resample_img
from nilearn.plotting import view_img

from pipeline.brain.reliability import select_reliable_voxels
from pipeline.errors import InputError, explain_errors
from pipeline.statistics.intervals import count_decimals, describe_tokens, format_with_interval
from pipeline.words.languages import LANGUAGES
from study.command_line import ArgumentParser, checkpoint_name, run_script
from study.files import images
from study.files.atomic import write_whole
from study.files.tables import read_values
from study.files.texts import read_lines
from study.inputs.le_petit_prince import read_isc, read_mask
from study.jobs import check_writable
from study.paths import checkpoint_stem, describe_study_folder, figure_path, note_path

NOTEBOOK = "analyze_results.ipynb makes it"
ANATOMY_MM = 2  # resolution of the brain behind the map
ONE_COLUMN_PIXELS = 1200  # figures of several panels are wider
FIGURES = """
brain_scores | Both hemispheres
Brain score (mean correlation r of measured and predicted signal) of both hemispheres over training, with each voxel's
layer chosen on other runs and, lighter, at its best layer. Bands, here and below, are 95 % intervals.

left_minus_right | Left minus right
Their difference over training, with each voxel's layer chosen on other runs and, lighter, at its best layer.

benchmarks | What the model can do
Left minus right, in black, over every benchmark, each scaled from the plateau before it rises (0) to the one after it
(1). Formal: does the model know the language? Functional: can it do something with it?

acceptability | Generated texts
Acceptability of generated texts by prompt and by judge.

transitions | When it happens
When every curve rises (its midpoint) and how sharply, and where no transition is shown; how much of left minus right
the transition of each benchmark explains (alignment: 0 nothing, 1 all), and by how much it moves first (lead). An
arrow: the rise is not over, or had begun before the first checkpoint, and the true value may lie further on.

regions | Regions
Left minus right in seven language regions (TP temporal pole, aSTS and pSTS superior temporal sulcus, AG/TPJ angular
gyrus, BA Brodmann areas) and the cerebellum.

atlas | Regions of the atlas
Left minus right in the regions of the study's atlas.

brain | Brain scores of all voxels
Brain scores of all voxels over training, in a glass brain.

asymmetry | Left minus mirror image
Each voxel of the left minus its mirror image on the right, at the last checkpoint.

emergence | When a difference emerges
The training tokens at which a difference between mirrored voxels has risen by half, where it rises beyond chance. It
may have appeared before.

layers | Layers
Either hemisphere at every layer.
"""
NESTED = ["left_nested", "right_nested", "left_minus_right_nested", "low_nested", "high_nested"]
LAYERS = {
    True: "with layers chosen, in each run, on the other runs; the maps show all voxels, likewise",
    False: "each at its best layer; the maps show all voxels, likewise, which flatters them all alike",
}


def main():
    """Write the page of a model and a language."""
    parser = ArgumentParser(__doc__)
    parser.add_argument(
        "--model", type=checkpoint_name, required=True, help="as for the notebook: the model without a revision"
    )
    parser.add_argument("--lang", choices=LANGUAGES, default="en", help="language of the story (default: en)")
    parser.add_argument("--output", type=Path, help="the page (default: fig/report.html in the study folder)")
    args = parser.parse_args()
    name = checkpoint_stem(args.model)
    path = args.output or figure_path("report.html")
    check_writable(path)
    page = fill(name, args.lang)
    with write_whole(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    print(f"{path} ({path.stat().st_size / 1e6:.1f} MB): the study of {name} ({args.lang}) on a page")


def fill(name, lang):
    """The page.

    Parameters
    ----------
    name, lang : str
        The model as in file names, and the language of the story.

    Returns
    -------
    str

    Raises
    ------
    InputError
        What the notebook makes is not there, is damaged, or does not belong together.
    """
    prefix = f"{name}_{lang}"
    curves = read_curves(figure_path(f"{prefix}_curves.csv"))
    summary = "\n".join(read_lines(require_figure(figure_path(f"{prefix}_summary.txt"))))
    mask = read_mask(lang)
    brain, asymmetry = (
        read_volumes(figure_path(f"{prefix}_{which}.nii.gz"), mask, len(curves)) for which in ("brain", "asymmetry")
    )
    reliable = select_reliable_voxels(read_isc(lang, n_voxels=brain.shape[1]))
    content = {
        "checkpoints": [describe_checkpoint(row) for row in curves.to_dict("records")],
        "inside": encode_base64(np.asarray(mask.dataobj) != 0),
        "shape": mask.shape,
        "affine": mask.affine.tolist(),
        "to_voxel": np.linalg.inv(mask.affine).tolist(),
        "maps": embed_viewers(brain, asymmetry, mask, reliable),
    }
    note = " ".join(read_lines(note_path())) if note_path().is_file() else ""
    template = string.Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=html.escape(f"{name} ({lang})"),
        note=f'<p class="note">{html.escape(note)}</p>' if note else "",
        summary=html.escape(summary),
        last=len(curves) - 1,
        table=format_table(curves),
        layers=LAYERS["left_nested" in curves],
        columns=describe_columns(curves),
        figures="\n".join(embed_figures(prefix)),
        content=json.dumps(content).replace("<", "\\u003c"),  # which would end the script
    )


# ---------------------------------------------------------------- reading


def require_figure(path):
    """The path of what the notebook made, or InputError."""
    if not path.is_file():
        raise InputError(f"{path} is missing: {NOTEBOOK} ({describe_study_folder()})")
    return path


def read_curves(path):
    """The curves, a row per checkpoint; all columns but revision and same_weights_as are floats.

    Left and right with layers chosen on other runs come first, where they are there.
    """
    with explain_errors(require_figure(path), f"{NOTEBOOK} again"):
        words = ["revision", "same_weights_as"]
        curves = read_values(path, text=words)
        published = ["left", "right", "left_minus_right", "low", "high"]
        nested = NESTED if "left_nested" in curves else []
        first = curves[["revision", "tokens", *nested, *published]]
        curves = first.join(curves.drop(columns=first.columns))
        if curves.empty:
            raise ValueError("no checkpoint")
        if "same_weights_as" in curves:
            curves["same_weights_as"] = curves["same_weights_as"].fillna("")
        return curves.astype({name: float for name in curves if name not in words})


def read_volumes(path, mask, n_checkpoints):
    """The values of a map's voxels, float32 array of shape (n_checkpoints, n_voxels)."""
    with explain_errors(require_figure(path), f"{NOTEBOOK} again"):
        try:
            volumes = images.read_image(path).get_fdata(dtype=np.float32)
        except InputError as error:  # its remedy is the notebook
            raise ValueError(str(error).removeprefix(f"{path}: ")) from error
        volumes = volumes if volumes.ndim == 4 else volumes[..., None]
        if volumes.shape != (*mask.shape, n_checkpoints):
            raise ValueError(f"shape {volumes.shape}, with {n_checkpoints} checkpoints and a mask of {mask.shape}")
        if not np.isfinite(volumes).all():
            raise ValueError("values that are not finite")
        return np.ascontiguousarray(volumes[np.asarray(mask.dataobj) != 0].T)


# ---------------------------------------------------------------- words, table and figures


def describe_checkpoint(row):
    """What stands next to the slider at a checkpoint."""
    left, right, difference, low, high = (
        NESTED if "left_nested" in row else [name.removesuffix("_nested") for name in NESTED]
    )
    words = format_with_interval(row[difference], row[low], row[high]).rstrip(")")
    same = row.get("same_weights_as", "")
    return {
        "revision": row["revision"] + (f" (the same weights as {same})" if same else ""),
        "tokens": f"{describe_tokens(row['tokens'])} training tokens",
        "left": count_decimals(4)(row[left]),
        "right": count_decimals(4)(row[right]),
        "difference": words.partition(" (")[0],
        "interval": words.partition(" (")[2],
    }


def format_table(curves):
    """The curves as an HTML table."""
    names: dict[str, str] = {}
    for suffix, words in [("_nested", ""), ("", ", best layer")] if "left_nested" in curves else [("", "")]:
        names |= {f"left{suffix}": f"left{words}", f"right{suffix}": f"right{words}"}
        names |= {f"left_minus_right{suffix}": f"left minus right{words}"}
        names |= {f"low{suffix}": f"95 % low{words}", f"high{suffix}": f"95 % high{words}"}
    names["same_weights_as"] = "same weights as"
    shown = curves.assign(tokens=curves["tokens"].map(describe_tokens)).rename(columns=names)
    return shown.to_html(index=False, border=0, float_format="{:.4f}".format, na_rep="", escape=True)


def describe_columns(curves):
    """What the columns of the table are."""
    words = "training tokens, brain score left and right, left minus right, its 95 % interval, "
    if "left_nested" in curves:
        words += "the same at each voxel's best layer (as published, which flatters both sides), "
    return f"{words}and a column per benchmark"


def embed_figures(prefix):
    """The figures that are there, in HTML."""
    texts = [text.split("\n", 1) for text in FIGURES.strip().split("\n\n")]
    known = [(*first.split(" | "), " ".join(caption.split())) for first, caption in texts]
    of_model = [(f"{prefix}_{name}", heading, caption) for name, heading, caption in known]
    beside = ("comparison", "Beside others", "Several models or languages beside each other.")
    for name, heading, caption in [*of_model, beside]:
        path = figure_path(f"{name}.png")
        if path.is_file():
            image = path.read_bytes()
            width, height = struct.unpack(">II", image[16:24])  # as every PNG begins
            yield (
                f'<figure class="{"two" if width > ONE_COLUMN_PIXELS else "one"}-columns">\n<h3>{heading}</h3>\n'
                f'<div><img src="data:image/png;base64,{b64encode(image).decode()}" width="{width}" height="{height}" '
                f'alt="{caption}"></div>\n<figcaption>{caption}</figcaption>\n</figure>'
            )


# ---------------------------------------------------------------- the brain


def embed_viewers(brain, asymmetry, mask, reliable):
    """Either map, with a scale of colours that is the same at all checkpoints.

    Parameters
    ----------
    brain, asymmetry : float32 arrays of shape (n_checkpoints, n_voxels)
    mask : nibabel image
    reliable : bool array of shape (n_voxels,)

    Returns
    -------
    dict from name to dict with page, overlays, values
        As ``viewer`` returns it.
    """
    behind = resample_anatomy(mask)
    # Where the viewer opens: where the last checkpoint is most asymmetric, among reliable voxels on the left.
    positions = apply_affine(mask.affine, np.argwhere(np.asarray(mask.dataobj) != 0))
    opens_at = positions[np.argmax(np.where(reliable & (positions[:, 0] < 0), np.abs(asymmetry[-1]), -1))]
    # A map that is 0 throughout has no scale of its own.
    of_scores = {"cmap": "viridis", "symmetric_cmap": False, "vmin": min(0.0, float(brain.min()))}
    of_scores["vmax"] = float(brain.max()) if brain.max() > 0 else 0.01
    of_differences = {"cmap": "RdBu_r", "symmetric_cmap": True, "vmax": float(np.abs(asymmetry).max()) or 0.01}
    return {
        "brain": make_viewer(brain, mask, behind, opens_at, of_scores),
        "asymmetry": make_viewer(asymmetry, mask, behind, opens_at, of_differences),
    }


def make_viewer(values, mask, behind, opens_at, colours):
    """nilearn's viewer of a map, and what changes in it from checkpoint to checkpoint.

    Returns
    -------
    dict
        page: the viewer, with OVERLAY in the place of the coloured voxels; overlays: these, a PNG for each
        checkpoint in base64; values: the same as numbers, float32 in base64.
    """
    pages = []
    for of_checkpoint in values:
        volume = np.zeros(mask.shape, dtype=np.float32)
        volume[np.asarray(mask.dataobj) != 0] = of_checkpoint
        with warnings.catch_warnings():
            # Of a percentile of the anatomy, in nilearn; outside the brain it is 0, and no matter.
            warnings.filterwarnings("ignore", message=".*'partition' will ignore the 'mask'")
            pages.append(
                view_img(
                    *(nibabel.Nifti1Image(volume, mask.affine), behind, opens_at),
                    **{"resampling_interpolation": "nearest", "threshold": 0, "black_bg": False, "annotate": False},
                    **colours,
                ).html
            )
    parts = [adapt_viewer(page) for page in pages]
    return {
        "page": parts[0][0],
        "overlays": [overlay for _, overlay in parts],
        "values": [encode_base64(of_checkpoint) for of_checkpoint in values],
    }


def adapt_viewer(page):
    """nilearn's page without its icon from the network and its random names, and with a way to ask where one is.

    Returns
    -------
    page, overlay : str
        The page with OVERLAY in the place of the image of voxels, and that image in base64.
    """
    page = replace_once(r'<link rel="icon"[^>]*>', "", page)
    (random_name,) = set(re.findall(r'id="overlayImg-(\w+)"', page))
    page = page.replace(random_name, "map")
    image = r'(id="overlayImg-map"[^>]*?base64,)([^"]*)'
    ((_, overlay),) = re.findall(image, page)
    page = replace_once(image, r"\1OVERLAY", page)
    # The last script starts the viewer; before it, what it starts is made known to the page around it.
    known = (
        "<style>html { overflow: hidden; } body { margin: 0; }</style>\n"
        "<script>const start = brainsprite; brainsprite = (options) => "
        "(window.viewer = start({...options, onclick: () => parent.tellVoxel()}));</script>\n<script>"
    )
    return replace_once(r"<script>(?=\s*\(function \(\) \{\s*var brain;)", known, page), overlay


def replace_once(pattern, text, page):
    """The page with the one place replaced; it is an error if there is none, as in another version of nilearn."""
    page, n_places = re.subn(pattern, text, page)
    if n_places != 1:
        raise RuntimeError(f"view_img of this version of nilearn makes a page with {n_places} times {pattern}")
    return page


def resample_anatomy(mask):
    """The MNI brain on a grid that divides each of the mask's voxels evenly.

    So no point of it lies between two voxels: the colour that is seen and the value that is told are of the same one.
    """
    template = load_mni152_template(resolution=ANATOMY_MM)
    brain = np.argwhere(template.get_fdata() > 0)
    box = np.array(list(itertools.product(*zip(brain.min(axis=0), brain.max(axis=0), strict=True))))
    in_voxels = apply_affine(np.linalg.inv(mask.affine) @ template.affine, box)
    first = np.floor(np.minimum(in_voxels.min(axis=0), 0)).astype(int)
    last = np.ceil(np.maximum(in_voxels.max(axis=0), np.array(mask.shape) - 1)).astype(int)
    n_parts = max(1, round(min(mask.header.get_zooms()[:3]) / ANATOMY_MM))
    to_voxels = np.diag([1 / n_parts] * 3 + [1])
    to_voxels[:3, 3] = first - 0.5 + 0.5 / n_parts
    shape = tuple(int(length) for length in (last - first + 1) * n_parts)
    return resample_img(template, mask.affine @ to_voxels, shape, interpolation="linear")


def encode_base64(array):
    """Numbers for the page, in C order."""
    return b64encode(np.ascontiguousarray(array).tobytes()).decode()


if __name__ == "__main__":
    run_script(main)
