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
    mask_img : nibabel image
    rule : {"position", "halves"}

    Returns
    -------
    left, right : bool arrays of shape (n_voxels,)
    """
    x = voxel_positions(mask_img)[:, 0]
    if rule == "halves":
        left = np.arange(len(x)) < len(x) // 2
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
    """
    atlas = np.asarray(atlas_img.dataobj)
    places = np.rint(apply_affine(np.linalg.inv(atlas_img.affine), voxel_positions(mask_img))).astype(int)
    on_grid = ((places >= 0) & (places < atlas.shape)).all(axis=1)
    labels = np.zeros(len(places), dtype=int)
    labels[on_grid] = np.rint(atlas[tuple(places[on_grid].T)]).astype(int)
    mirror = mirrored(mask_img)
    labels[~hemispheres(mask_img)[0] | (mirror < 0)] = 0
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

    Returns
    -------
    bool array of shape (n_voxels,)
    """
    isc = np.asarray(isc)
    if isc.ndim != 2 or not np.isfinite(isc).all():
        raise BadInput(f"an ISC of shape {isc.shape} is not (n_trials, n_voxels) of finite numbers")
    mean_isc = isc.mean(axis=0)
    return mean_isc > np.percentile(mean_isc, percentile)


def brain_scores(correlations):
    """A voxel's score: its correlation at its best layer.

    Parameters
    ----------
    correlations : array of shape (n_layers, n_voxels)
        Averaged over left-out runs. A voxel that is NaN in every layer stays NaN.

    Returns
    -------
    array of shape (n_voxels,)
    """
    return np.fmax.reduce(correlations, axis=0)


def nested_brain_scores(correlations):
    """Brain scores without the optimism of choosing the best layer on what is then reported.

    In each run, a voxel's layer is the one that is best on average over the other runs; averaged
    over runs, these are scores that promise no more than there is.

    Parameters
    ----------
    correlations : array of shape (n_layers, n_runs, n_voxels)
        With at least two runs.

    Returns
    -------
    array of shape (n_runs, n_voxels)
        The score of each voxel in each run.
    """
    _, n_runs, n_voxels = correlations.shape
    if n_runs < 2:
        raise BadInput("only averages over runs are known, and a layer cannot be chosen on other runs")
    known = np.nan_to_num(correlations, nan=-np.inf)
    of_runs = np.empty((n_runs, n_voxels))
    for run in range(n_runs):
        best = np.delete(known, run, axis=1).mean(axis=1).argmax(axis=0)  # (n_voxels,)
        of_runs[run] = correlations[best, run, np.arange(n_voxels)]
    return of_runs


def left_right(scores, left, right, reliable):
    """Mean score of the reliable voxels of each hemisphere; voxels without a score do not count.

    Parameters
    ----------
    scores : array of shape (..., n_voxels)
        Of voxels, or of layers and voxels.
    left, right, reliable : bool arrays of shape (n_voxels,)

    Returns
    -------
    left, right : arrays of shape (...)

    Raises
    ------
    BadInput
        The voxels are not as many as the mask's, or a hemisphere has no reliable one.
    """
    if not scores.shape[-1] == len(left) == len(right) == len(reliable):
        raise BadInput(
            f"{scores.shape[-1]} voxels in the correlations, {len(left)} in the mask and {len(reliable)} in the ISC: "
            "they are not of the same study"
        )
    if not (left & reliable).any() or not (right & reliable).any():
        raise BadInput("a hemisphere has no reliable voxel: mask and ISC are not of the same study")
    return np.nanmean(scores[..., left & reliable], axis=-1), np.nanmean(scores[..., right & reliable], axis=-1)


def best_layer(correlations, voxels):
    """The layer that predicts some voxels best on average.

    Parameters
    ----------
    correlations : array of shape (n_layers, n_voxels)
    voxels : bool array of shape (n_voxels,)

    Returns
    -------
    int
    """
    return int(np.nanmean(correlations[:, voxels], axis=1).argmax())


def resampled_left_right(correlations, left, right, reliable, n_resamples=1000, seed=0):
    """Hemisphere scores of resampled studies, whose left-out runs are drawn with replacement.

    Every resampled study chooses its best layers anew, as the real one does. The same seed draws
    the same runs for every checkpoint, so that differences between checkpoints are paired.

    Parameters
    ----------
    correlations : array of shape (n_layers, n_runs, n_voxels)
    left, right, reliable : bool arrays of shape (n_voxels,)
    n_resamples, seed : int

    Returns
    -------
    lefts, rights : arrays of shape (n_resamples,)
    """
    n_runs = correlations.shape[1]
    counts = np.random.default_rng(seed).multinomial(n_runs, np.full(n_runs, 1 / n_runs), size=n_resamples)
    kept = reliable & (left | right)
    correlations = correlations[:, :, kept].astype(np.float32)
    left, right, reliable = left[kept], right[kept], reliable[kept]
    studies = []
    for weights in (counts / n_runs).astype(np.float32):  # (n_runs,)
        scores = brain_scores(np.einsum("r,lrv->lv", weights, correlations))
        studies.append(left_right(scores, left, right, reliable))
    lefts, rights = np.array(studies).T
    return lefts, rights


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
    """
    mirror, (left, right) = mirrored(mask_img), hemispheres(mask_img)
    has_one = (left | right) & (mirror >= 0)
    difference = np.full(np.shape(scores), np.nan)
    difference[..., has_one] = scores[..., has_one] - scores[..., mirror[has_one]]
    return difference


def region_curves(checkpoints, correlations, regions):
    """Left minus right over training in each region.

    Parameters
    ----------
    checkpoints : pandas.DataFrame
        With columns revision and tokens.
    correlations : list over checkpoints of array of shape (n_layers, n_runs, n_voxels)
    regions : dict from name to (left, right), bool arrays of shape (n_voxels,)
        Regions of which a side has no voxel are left out.

    Returns
    -------
    pandas.DataFrame with columns region, revision, tokens, left, right, left_minus_right
        A row per region and checkpoint. All voxels of a region count, reliable or not.
    """
    rows = []
    scores = [brain_scores(of_checkpoint.mean(axis=1)) for of_checkpoint in correlations]
    for name, (left, right) in regions.items():
        if left.any() and right.any():
            for revision, tokens, of_voxels in zip(checkpoints["revision"], checkpoints["tokens"], scores, strict=True):
                sides = [np.nanmean(of_voxels[side]) for side in (left, right)]
                rows.append((name, revision, tokens, *sides, sides[0] - sides[1]))
    return pd.DataFrame(rows, columns=["region", "revision", "tokens", "left", "right", "left_minus_right"])


def voxel_blocks(mask_img, edge_mm=20.0):
    """Cubes of neighbouring voxels, for resampling; a cube has its mirror image in it.

    Neighbouring voxels are alike, and so are mirror images: to draw voxels one by one would promise
    more certainty than there is.

    Parameters
    ----------
    mask_img : nibabel image
    edge_mm : float

    Returns
    -------
    int array of shape (n_voxels,)
        Numbers from 0.
    """
    x, y, z = voxel_positions(mask_img).T
    cubes = np.floor(np.stack([np.abs(x), y, z], axis=1) / edge_mm)
    return np.unique(cubes, axis=0, return_inverse=True)[1].ravel()


def resampled_curves(correlations, left, right, reliable, blocks, n_resamples=1000, seed=0):
    """Hemisphere scores over training in resampled studies: other runs, and other blocks of voxels.

    Voxels that do not vary in some run have no score, and do not count.

    Runs and blocks are drawn with replacement, the same ones at every checkpoint, and every
    resampled study chooses its best layers anew.

    Parameters
    ----------
    correlations : list over checkpoints of array of shape (n_layers, n_runs, n_voxels)
    left, right, reliable : bool arrays of shape (n_voxels,)
    blocks : int array of shape (n_voxels,)
        As ``voxel_blocks`` returns it.
    n_resamples, seed : int

    Returns
    -------
    lefts, rights : arrays of shape (n_resamples, n_checkpoints)
    """
    rng = np.random.default_rng(seed)
    n_runs = correlations[0].shape[1]
    runs = rng.multinomial(n_runs, np.full(n_runs, 1 / n_runs), size=n_resamples) / n_runs
    kept = reliable & (left | right) & np.isfinite(sum(run.sum(axis=(0, 1)) for run in correlations))
    numbers = np.unique(blocks[kept], return_inverse=True)[1].ravel()
    n_blocks = numbers.max() + 1
    times = rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=n_resamples)[:, numbers].astype(float)
    sides = []
    for side in (left[kept], right[kept]):
        weights = times * side  # (n_resamples, n_kept)
        sides.append(weights / weights.sum(axis=1, keepdims=True))
    lefts, rights = np.empty((2, n_resamples, len(correlations)))
    for checkpoint, of_checkpoint in enumerate(correlations):
        of_kept = of_checkpoint[:, :, kept].astype(np.float32)
        for resample, weights in enumerate(runs.astype(np.float32)):
            scores = brain_scores(np.tensordot(weights, of_kept, axes=(0, 1)))  # (n_kept,)
            lefts[resample, checkpoint] = sides[0][resample] @ scores
            rights[resample, checkpoint] = sides[1][resample] @ scores
    return lefts, rights


def asymmetry_curve(checkpoints, correlations, left, right, reliable, n_resamples=1000):
    """Brain scores of both hemispheres and their difference over training.

    Parameters
    ----------
    checkpoints : pandas.DataFrame
        With columns revision and tokens.
    correlations : iterable over checkpoints of array of shape (n_layers, n_runs, n_voxels)
        With a single run, only averages over runs are known, and no interval can be given.
    left, right, reliable : bool arrays of shape (n_voxels,)
    n_resamples : int

    Returns
    -------
    pandas.DataFrame with columns revision, tokens, left, right, left_minus_right, low, high
        low and high enclose 95 % of the differences of studies with resampled runs.
    """
    rows = []
    for of_checkpoint in correlations:
        score_left, score_right = left_right(brain_scores(of_checkpoint.mean(axis=1)), left, right, reliable)
        low = high = np.nan
        if of_checkpoint.shape[1] > 1:
            lefts, rights = resampled_left_right(of_checkpoint, left, right, reliable, n_resamples)
            low, high = np.percentile(lefts - rights, [2.5, 97.5])
        rows.append((score_left, score_right, score_left - score_right, low, high))
    curve = pd.DataFrame(rows, columns=["left", "right", "left_minus_right", "low", "high"])
    return pd.concat([checkpoints[["revision", "tokens"]].reset_index(drop=True), curve], axis=1)
