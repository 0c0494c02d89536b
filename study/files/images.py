"""Read images of the brain (NIfTI) of which it is certain where their voxels are.

Left and right of an image are what its header says, and nothing else. A header without an orientation (sform_code
and qform_code 0) leaves them open: nibabel then assumes that x decreases, other programs that it increases. Such an
image is refused. In an image that is accepted, left is left in whatever order its voxels are stored.
"""

import math

import nibabel
import numpy as np

from pipeline.errors import InputError, explain_errors

MOST_VOXELS = 2**27  # of an image: more than anyone needs, and less than the memory
SPACES = {1: "scanner", 2: "aligned", 3: "Talairach", 4: "MNI 152", 5: "template"}  # codes of the NIfTI standard


def read_image(path):
    """Read an image, ``.nii`` or ``.nii.gz``, with an orientation in its header.

    A file that is damaged, too large, of another format, or without orientation, raises InputError.

    Returns
    -------
    nibabel.Nifti1Image of shape (x, y, z) or (x, y, z, n_volumes)
        Further dimensions of length 1 are dropped. Its affine gives millimetres.
    """
    with explain_errors(path, "expected a NIfTI image; get it again"):
        image = nibabel.load(path)
        if not isinstance(image, nibabel.Nifti1Image):
            raise ValueError(f"it is a {type(image).__name__}")
        if math.prod(map(int, image.shape)) > MOST_VOXELS or len(image.shape) < 3:
            raise ValueError(f"shape {image.shape}")
        if image.get_data_dtype().kind not in "iuf":
            raise ValueError(f"its voxels are {image.get_data_dtype()}, not numbers")
        values = np.asanyarray(image.dataobj)
    _, code = find_deciding_form(image)
    if code == 0:
        raise InputError(
            f"{path}: expected an orientation, got sform_code 0 and qform_code 0, so that left and right are unknown. "
            "Get it again, or copy the sform of the image that it was made from"
        )
    if not np.isfinite(image.affine).all() or abs(np.linalg.det(image.affine[:3, :3])) < 1e-9:
        raise InputError(
            f"{path}: expected an affine that gives each voxel a place, got {image.affine[:3].tolist()}. Get it again"
        )
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim > 4:
        raise InputError(f"{path}: expected three dimensions, or four, got shape {values.shape}. Get it again")
    return make_image(values, image.affine, code)


def make_image(values, affine, code):
    """Return a NIfTI image with this array, this affine, and this code of the space that the affine leads to."""
    image = nibabel.Nifti1Image(values, affine, dtype=values.dtype)
    image.set_sform(affine, code=code)
    image.set_qform(None, code=0)
    return image


def find_deciding_form(image):
    """Return which affine of a header counts, ``sform`` or ``qform``, and its code, 0 where neither is set."""
    codes = ((form, int(image.header[f"{form}_code"])) for form in ("sform", "qform"))
    return next(((form, code) for form, code in codes if code > 0), ("sform", 0))


def read_mask(path):
    """Read a brain mask: 0 or not finite outside the brain, one other value inside, as nilearn requires.

    Several volumes, other values, and the errors of ``read_image`` raise InputError.

    Returns
    -------
    nibabel.Nifti1Image of int8, of shape (x, y, z)
        1 inside the brain, 0 outside. Its voxels in C order are the columns of every voxel array.
    """
    image, values = _read_volume(path, "one volume", "", "Choose one, and save it alone")
    distinct = np.unique(values)
    if not distinct.any():
        raise InputError(f"{path}: expected a mask, got 0 in all voxels. Get it again")
    if len(distinct) > 2 or (len(distinct) == 2 and 0 not in distinct):
        raise InputError(
            f"{path}: expected a mask (0 outside, one other value inside), got {len(distinct)} values from "
            f"{distinct[0]:g} to {distinct[-1]:g}. Choose a threshold, and save what is above it as 1"
        )
    return make_image((values != 0).astype(np.int8), image.affine, find_deciding_form(image)[1])


def read_labels(path):
    """Read an atlas, a nibabel.Nifti1Image of int32, of shape (x, y, z).

    It has a whole number for each region, and 0 or values that are not finite elsewhere. Several volumes, other values,
    and the errors of ``read_image`` raise InputError.
    """
    remedy = "Take the atlas of labels (maximum probability), not of probabilities"
    image, values = _read_volume(path, "one volume of labels", " volumes", remedy)
    labels = np.rint(values)
    is_wrong = (np.abs(values - labels) > 1e-3) | (np.abs(labels) >= 2**31)
    if is_wrong.any():
        raise InputError(
            f"{path}: expected whole numbers, one for each region and 0 elsewhere, got {values[is_wrong][0]:g}. "
            "Take the atlas of labels, not of probabilities"
        )
    return make_image(labels.astype(np.int32), image.affine, find_deciding_form(image)[1])


def _read_volume(path, expected, unit, remedy):
    """Read an image of a single volume, and its values as float (x, y, z), 0 where they are not finite."""
    image = read_image(path)
    values = np.asanyarray(image.dataobj)
    if values.ndim != 3:
        raise InputError(f"{path}: expected {expected}, got {values.shape[-1]}{unit}. {remedy}")
    return image, np.nan_to_num(values.astype(float), copy=False, posinf=0, neginf=0)


def is_in_published_order(path):
    """Return whether the voxels of an image are stored as those of the published masks: x, y and z increase (RAS).

    The affine says where a voxel is. It cannot say whether arrays that lie elsewhere are in the same order.
    """
    return find_storage_order(nibabel.load(path)) == "RAS"


def find_storage_order(image):
    """Return to which side each axis of an image leads, three letters of L, R, P, A, I, S."""
    return "".join(nibabel.aff2axcodes(image.affine))


def describe_sides(path):
    """Return in words what decides which voxels are left, for ``--check``, of an image that ``read_image`` accepts."""
    image = nibabel.load(path)
    form, code = find_deciding_form(image)
    space = SPACES.get(code, "another space")
    words = f"left is x < 0 by its {form} (code {code}, {space}), stored in order {find_storage_order(image)}"
    if form == "sform" and _is_qform_mirrored(image):
        words += "; its qform, which is not used, has left and right exchanged"
    return words


def _is_qform_mirrored(image):
    """Return whether an image has a qform, in which left and right are exchanged in comparison with its sform."""
    sform, qform = (np.linalg.det(affine[:3, :3]) for affine in (image.get_sform(), image.get_qform()))
    return image.header["qform_code"] > 0 and np.sign(sform) != np.sign(qform)
