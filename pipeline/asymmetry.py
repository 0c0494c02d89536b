"""From voxel correlations to hemispheres and regions: reliable voxels, best layer, left minus right."""

import numpy as np
import pandas as pd
from nibabel.affines import apply_affine

from pipeline import BadInput

RELIABLE_PERCENTILE = 75

# Centres of the language regions of the left hemisphere (MNI, millimetres), as in Bonnasse-Gahot &
# Pallier; the right's are their mirror images.
LANGUAGE_REGIONS = {
    "TP": (-48, 15, -27),
    "aSTS": (-54, -12, -12),
    "pSTS": (-51, -39, 3),
    "AG/TPJ": (-52, -56, 22),
    "BA44": (-50, 12, 16),
    "BA45": (-52, 28, 10),
    "BA47": (-44, 34, -8),
}
REGION_RADIUS_MM = 10


def voxel_positions(mask_img):
    """MNI coordinates of the voxels of a mask, in the order of every voxel array.

    Parameters
    ----------
    mask_img : nibabel image of shape (x, y, z)
        Non-zero inside the brain; its voxels in C order are the columns of the fMRI.

    Returns
    -------
    float array of shape (n_voxels, 3), millimetres

    Raises
    ------
    BadInput
        The image is not of three dimensions, or nothing is inside.
    """
    inside = np.asarray(mask_img.dataobj) != 0
    if inside.ndim != 3 or not inside.any():
        raise BadInput(f"a mask of shape {inside.shape} with {inside.sum()} voxels inside is no brain mask")
    return apply_affine(mask_img.affine, np.argwhere(inside))


def hemispheres(mask_img, rule="position"):
    """Which voxels belong to the left and to the right hemisphere.

    By position, left is x < 0 and right x > 0 in MNI millimetres, and a voxel on the midline
    belongs to neither. ``rule="halves"`` splits the list of voxels in two, as the published code
    does: the midline then goes half to one side and half to the other.

    Parameters
    ----------
    mask_img : nibabel image of shape (x, y, z)
    rule : {"position", "halves"}

    Returns
    -------
    left, right : bool arrays of shape (n_voxels,)

    Raises
    ------
    BadInput
        There is no such rule, or the mask is none (see ``voxel_positions``).
    """
    x = voxel_positions(mask_img)[:, 0]
    if rule == "halves":
        # The published masks are stored from left to right; in whatever order another one is, left is left.
        left = np.zeros(len(x), dtype=bool)
        left[np.argsort(x, kind="stable")[: len(x) // 2]] = True
        return left, ~left
    if rule == "position":
        # An affine made of decimals may put the midline a rounding error away from 0.
        return x < -1e-3, x > 1e-3
    raise BadInput(f"unknown rule {rule!r} for hemispheres: choose position or halves")


def mirrored(mask_img):
    """The voxel at each voxel's mirrored position (x to -x), or -1 where that is outside the mask.

    Parameters
    ----------
    mask_img : nibabel image
        Its grid must map onto itself when it is mirrored, as the published masks' does.

    Returns
    -------
    int array of shape (n_voxels,)

    Raises
    ------
    BadInput
        Voxels and their mirrored positions do not lie on the same grid.
    """
    positions = voxel_positions(mask_img)
    places = apply_affine(np.linalg.inv(mask_img.affine), positions * [-1, 1, 1])  # in voxels of the image
    if not np.allclose(places, np.rint(places), atol=1e-3):
        raise BadInput("the mask's grid is not symmetric about x = 0: resample it before hemispheres are mirrored")
    places = np.rint(places).astype(int)
    number = np.full(mask_img.shape, -1)
    number[np.asarray(mask_img.dataobj) != 0] = np.arange(len(positions))
    on_grid = ((places >= 0) & (places < mask_img.shape)).all(axis=1)
    found = np.full(len(positions), -1)
    found[on_grid] = number[tuple(places[on_grid].T)]
    return found


def spheres(mask_img, centres=LANGUAGE_REGIONS, radius_mm=REGION_RADIUS_MM):
    """Spheres around some points, and around their mirror images.

    Parameters
    ----------
    mask_img : nibabel image
    centres : dict from name to (x, y, z), MNI millimetres
        On either side.
    radius_mm : float

    Returns
    -------
    dict from name to (left, right), bool arrays of shape (n_voxels,)
    """
    positions = voxel_positions(mask_img)

    def sphere(x, y, z):
        return np.linalg.norm(positions - [x, y, z], axis=1) <= radius_mm

    return {name: (sphere(-abs(x), y, z), sphere(abs(x), y, z)) for name, (x, y, z) in centres.items()}


def atlas_regions(mask_img, atlas_img):
    """Regions of an atlas on the left, and their mirror images on the right.

    Atlases name the two sides in their own ways; so only the labels of the left count here, and
    the other side of a region is where it would be if the brain were folded at x = 0.

    Parameters
    ----------
    mask_img : nibabel image
    atlas_img : nibabel image of whole numbers
        0 is no region. Any grid: every voxel of the mask takes the label at its position.

    Returns
    -------
    dict from label (int) to (left, right), bool arrays of shape (n_voxels,)
        Only voxels whose mirror image is in the mask; labels without one are left out.

    Raises
    ------
    BadInput
        The mask's grid is not symmetric (see ``mirrored``), or the atlas has no region on the left of the mask.
    """
    atlas = np.asarray(atlas_img.dataobj)
    places = np.rint(apply_affine(np.linalg.inv(atlas_img.affine), voxel_positions(mask_img))).astype(int)
    on_grid = ((places >= 0) & (places < atlas.shape)).all(axis=1)
    labels = np.zeros(len(places), dtype=int)
    labels[on_grid] = np.rint(atlas[tuple(places[on_grid].T)]).astype(int)
    if not labels.any():
        raise BadInput("the atlas has no region in the mask: expected whole numbers at MNI positions, 0 elsewhere")
    mirror = mirrored(mask_img)
    labels[~hemispheres(mask_img)[0] | (mirror < 0)] = 0
    if not labels.any():
        raise BadInput(
            "the atlas: no region lies left of the midline: mirror it. Only its left side counts; the right of a "
            "region is its mirror image"
        )
    regions = {}
    for label in np.unique(labels[labels != 0]):
        left, right = labels == label, np.zeros(len(labels), dtype=bool)
        right[mirror[left]] = True
        regions[int(label)] = left, right
    return regions


def cerebellum(mask_img):
    """Left and right cerebellum, coarsely, by position: y < -40 and z < -24 in MNI millimetres.

    That is what lies below the temporal and occipital lobes in the back, save for a few millimetres
    under the tentorium.

    Parameters
    ----------
    mask_img : nibabel image of shape (x, y, z)

    Returns
    -------
    left, right : bool arrays of shape (n_voxels,)
    """
    _, y, z = voxel_positions(mask_img).T
    left, right = hemispheres(mask_img)
    return left & (y < -40) & (z < -24), right & (y < -40) & (z < -24)


def reliable_voxels(isc, percentile=RELIABLE_PERCENTILE):
    """Voxels whose inter-subject correlation, averaged over trials, is above a percentile.

    Parameters
    ----------
    isc : array of shape (n_trials, n_voxels)
    percentile : float
        From 0 to 100.

    Returns
    -------
    bool array of shape (n_voxels,)

    Raises
    ------
    BadInput
        The array is of another shape, or holds a value that is not a finite number.
    """
    isc = np.asarray(isc)
    if isc.ndim != 2 or not np.isfinite(isc).all():
        raise BadInput(f"an ISC of shape {isc.shape} is not (n_trials, n_voxels) of finite numbers")
    mean_isc = isc.mean(axis=0)
    return mean_isc > np.percentile(mean_isc, percentile)


def brain_scores(correlations, best_layer="maximum"):
    """Each voxel's correlation at its best layer, in every left-out run of every checkpoint.

    Averaged over runs, it is the voxel's brain score.

    Parameters
    ----------
    correlations : iterable over checkpoints of array of shape (n_layers, n_runs, n_voxels)
    best_layer : {"maximum", "nested"}
        Which layer is a voxel's best: the one with the highest average over runs, as in the paper;
        or in each run the one that is best on average over the other runs. The highest of several
        noisy averages promises more than there is, a layer chosen on other runs less (see ``brain_curves``).

    Returns
    -------
    float32 array of shape (n_checkpoints, n_runs, n_voxels)
        n_runs is 1 where only averages over runs are known of some checkpoint. A voxel that is NaN
        in every layer stays NaN.

    Raises
    ------
    BadInput
        Checkpoints have different runs or voxels, or a layer cannot be chosen on other runs.
    """
    if best_layer not in ("maximum", "nested"):
        raise BadInput(f"unknown best_layer {best_layer!r}: choose maximum or nested")
    scores = [_of_best_layers(of_checkpoint, best_layer) for of_checkpoint in correlations]
    if any(len(of_runs) == 1 for of_runs in scores):
        scores = [of_runs.mean(axis=0, keepdims=True) for of_runs in scores]
    if len({of_runs.shape for of_runs in scores}) > 1:
        shapes = " and ".join(sorted({str(of_runs.shape) for of_runs in scores}))
        raise BadInput(f"checkpoints of different (runs, voxels) make no curve: {shapes}; fit them all alike")
    return np.stack(scores).astype(np.float32)


def _of_best_layers(correlations, best_layer):
    """One checkpoint: (n_layers, n_runs, n_voxels) to (n_runs, n_voxels)."""
    _, n_runs, n_voxels = correlations.shape
    known = np.where(np.isnan(correlations), -np.inf, correlations)
    sums = known.sum(axis=1, dtype=np.float64)  # (n_layers, n_voxels)
    if best_layer == "maximum":
        best = np.broadcast_to(sums.argmax(axis=0), (n_runs, n_voxels))
    elif n_runs > 1:
        best = np.stack([np.delete(known, run, axis=1).sum(axis=1).argmax(axis=0) for run in range(n_runs)])
    else:
        raise BadInput("only averages over runs are known, and a layer cannot be chosen on other runs")
    return np.take_along_axis(correlations, best[None], axis=0)[0]


def left_right(scores, left, right):
    """Mean score of the voxels of each side; voxels without a score do not count.

    Parameters
    ----------
    scores : array of shape (..., n_voxels)
        Of checkpoints, or of layers, and voxels.
    left, right : bool arrays of shape (n_voxels,)
        The voxels of each side: the reliable ones of a hemisphere, or all of a region.

    Returns
    -------
    left, right : arrays of shape (...)

    Raises
    ------
    BadInput
        The voxels are not as many as the mask's, or a side has none.
    """
    if not scores.shape[-1] == len(left) == len(right):
        raise BadInput(
            f"{scores.shape[-1]} voxels in the correlations and {len(left)} in the mask: they are not of the same study"
        )
    if not left.any() or not right.any():
        raise BadInput("a side has no (reliable) voxel: mask and ISC are not of the same study")
    return np.nanmean(scores[..., left], axis=-1), np.nanmean(scores[..., right], axis=-1)


def mirrored_difference(scores, mask_img):
    """Each voxel of the left minus its mirror image on the right.

    Parameters
    ----------
    scores : array of shape (..., n_voxels)
    mask_img : nibabel image

    Returns
    -------
    array of shape (..., n_voxels)
        On the right, the same with the sign turned; NaN on the midline, and where there is no mirror image.

    Raises
    ------
    BadInput
        The mask's grid is not symmetric (see ``mirrored``).
    """
    mirror, (left, right) = mirrored(mask_img), hemispheres(mask_img)
    has_one = (left | right) & (mirror >= 0)
    difference = np.full(np.shape(scores), np.nan)
    difference[..., has_one] = scores[..., has_one] - scores[..., mirror[has_one]]
    return difference


def voxel_blocks(mask_img, edge_mm=20.0):
    """Cubes of neighbouring voxels, for resampling; a cube has its mirror image in it.

    Neighbouring voxels are alike, and so are mirror images: to draw voxels one by one would promise
    more certainty than there is.

    Parameters
    ----------
    mask_img : nibabel image
    edge_mm : float
        Of a cube, millimetres.

    Returns
    -------
    int array of shape (n_voxels,)
        Numbers from 0.
    """
    x, y, z = voxel_positions(mask_img).T
    cubes = np.floor(np.stack([np.abs(x), y, z], axis=1) / edge_mm)
    return np.unique(cubes, axis=0, return_inverse=True)[1].ravel()


def resampled_left_right(scores, left, right, blocks, n_resamples=1000, seed=0):
    """Both sides over training in resampled studies: other left-out runs, and other blocks of voxels.

    Runs and blocks are drawn with replacement, the same ones at every checkpoint; the same seed draws
    the same runs for all regions. Layers stay those of the whole study: at its maximum, a score does
    not depend on them, to first order.

    Parameters
    ----------
    scores : array of shape (n_checkpoints, n_runs, n_voxels)
        As ``brain_scores`` returns it. Voxels that do not vary in some run do not count.
    left, right : bool arrays of shape (n_voxels,)
        The voxels of each side.
    blocks : int array of shape (n_voxels,)
        As ``voxel_blocks`` returns it.
    n_resamples, seed : int

    Returns
    -------
    lefts, rights : arrays of shape (n_resamples, n_checkpoints)
        NaN where no block of a side was drawn.
    """
    rng, n_runs = np.random.default_rng(seed), scores.shape[1]
    runs = rng.multinomial(n_runs, np.full(n_runs, 1 / n_runs), size=n_resamples) / n_runs
    kept = (left | right) & np.isfinite(scores).all(axis=(0, 1))
    numbers = np.unique(blocks[kept], return_inverse=True)[1].ravel()
    n_blocks = numbers.max() + 1
    times = rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=n_resamples)  # (n_resamples, n_blocks)
    in_block = numbers[:, None] == np.arange(n_blocks)  # (n_kept, n_blocks)
    sides = []
    for side in (left[kept], right[kept]):
        of_side = (in_block & side[:, None]).astype(float)
        sums = scores[:, :, kept] @ of_side  # (n_checkpoints, n_runs, n_blocks)
        n_voxels = times @ of_side.sum(axis=0)  # (n_resamples,)
        totals = np.einsum("sr,sb,crb->sc", runs, times.astype(float), sums, optimize=True)
        sides.append(totals / np.where(n_voxels > 0, n_voxels, np.nan)[:, None])
    return tuple(sides)


def side_curves(scores, left, right, blocks, n_resamples=1000):
    """Both sides and their difference over training, as measured and in resampled studies.

    Parameters
    ----------
    scores, left, right, blocks, n_resamples
        As for ``resampled_left_right``. With a single run, only averages over runs are known, and the
        resamples are NaN.

    Returns
    -------
    dict from left, right and left_minus_right to (curve, resamples)
        Arrays of shape (n_checkpoints,) and (n_resamples, n_checkpoints).

    Raises
    ------
    BadInput
        As for ``left_right``.
    """
    sides = left_right(scores.mean(axis=1), left, right)
    if scores.shape[1] > 1:
        again = resampled_left_right(scores, left, right, blocks, n_resamples)
    else:
        again = np.full((2, n_resamples, len(scores)), np.nan)
    return {
        "left": (sides[0], again[0]),
        "right": (sides[1], again[1]),
        "left_minus_right": (sides[0] - sides[1], again[0] - again[1]),
    }


def layer_curves(checkpoints, correlations, left, right):
    """How well every layer of every checkpoint predicts either side.

    Parameters
    ----------
    checkpoints : pandas.DataFrame
        With columns revision and tokens.
    correlations : list over checkpoints of array of shape (n_layers, n_runs, n_voxels)
    left, right : bool arrays of shape (n_voxels,)

    Returns
    -------
    pandas.DataFrame with columns revision, tokens, layer, left, right, left_minus_right
        A row per checkpoint and layer; layer 0 is the embedding. same_weights_as comes last where the
        checkpoints have it.

    Raises
    ------
    BadInput
        As for ``left_right``.
    """
    rows = []
    for (revision, tokens), of_checkpoint in zip(
        checkpoints[["revision", "tokens"]].itertuples(index=False), correlations, strict=True
    ):
        lefts, rights = left_right(of_checkpoint.mean(axis=1), left, right)  # (n_layers,)
        rows += [
            (revision, tokens, layer, *sides, sides[0] - sides[1])
            for layer, sides in enumerate(zip(lefts, rights, strict=True))
        ]
    table = pd.DataFrame(rows, columns=["revision", "tokens", "layer", "left", "right", "left_minus_right"])
    if "same_weights_as" in checkpoints:
        table["same_weights_as"] = table["revision"].map(checkpoints.set_index("revision")["same_weights_as"])
    return table


def voxel_table(mask_img, checkpoints, scores, differences, **columns):
    """The numbers of all maps, a row per voxel.

    Parameters
    ----------
    mask_img : nibabel image
    checkpoints : pandas.DataFrame
        With the column revision.
    scores, differences : arrays of shape (n_checkpoints, n_voxels)
        Brain scores, and ``mirrored_difference`` of them.
    columns : arrays of shape (n_voxels,)
        More, by name.

    Returns
    -------
    pandas.DataFrame with columns x, y, z (MNI, millimetres), those given, then score_{revision} and
    asymmetry_{revision} for every checkpoint
    """
    table = pd.DataFrame(voxel_positions(mask_img), columns=["x", "y", "z"]).assign(**columns)
    maps: dict[str, np.ndarray] = {}
    for revision, of_checkpoint, difference in zip(checkpoints["revision"], scores, differences, strict=True):
        maps |= {f"score_{revision}": of_checkpoint, f"asymmetry_{revision}": difference}
    return pd.concat([table, pd.DataFrame(maps).astype(np.float32)], axis=1)
