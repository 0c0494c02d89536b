"""Images are read only where it is certain which of their voxels are left; then left is left in any storage order."""

import nibabel
import numpy as np
import pytest

from pipeline.brain.hemispheres import assign_hemispheres
from pipeline.errors import InputError
from study.files import images
from study.outputs.figures import save_map
from study.paths import figure_path

SHAPE = (5, 4, 3)
AFFINE = np.array([[4.0, 0, 0, -8], [0, 4, 0, -20], [0, 0, 4, 30], [0, 0, 0, 1]])  # x from -8 to 8 mm
INSIDE = np.random.default_rng(0).random(SHAPE) < 0.7


def save(path, values, affine=AFFINE, sform_code=2, qform_code=0):
    """Save an image with these codes."""
    image = nibabel.Nifti1Image(values, affine)
    image.set_sform(affine, code=sform_code)
    image.set_qform(affine, code=qform_code)
    nibabel.save(image, path)
    return path


def places(mask, left):
    """Return the millimetres of voxels, sorted, by a plain loop: independent of the order in which they are stored."""
    voxels = [voxel for voxel in np.ndindex(mask.shape) if mask.get_fdata()[voxel] != 0]
    positions = [tuple((mask.affine @ [*voxel, 1])[:3].round(3)) for voxel in voxels]
    return sorted(position for position, is_left in zip(positions, left, strict=True) if is_left)


@pytest.mark.parametrize(("sform_code", "qform_code"), [(0, 1), (4, 0), (1, 4), (0, 4)])
def test_any_orientation_code_will_do(tmp_path, sform_code, qform_code):
    path = save(tmp_path / "mask.nii.gz", INSIDE.astype("i1"), sform_code=sform_code, qform_code=qform_code)
    mask = images.read_mask(path)
    np.testing.assert_allclose(mask.affine, AFFINE, atol=1e-5)
    assert int(mask.header["sform_code"]) == (sform_code or qform_code)
    form = "sform" if sform_code else "qform"
    assert f"left is x < 0 by its {form} (code {sform_code or qform_code}, " in images.describe_sides(path)


@pytest.mark.parametrize("read", [images.read_mask, images.read_labels, images.read_image])
def test_an_image_without_orientation_is_refused(tmp_path, read):
    path = save(tmp_path / "mask.nii.gz", INSIDE.astype("i1"), sform_code=0, qform_code=0)
    with pytest.raises(InputError, match=r"mask\.nii\.gz: expected an orientation, got sform_code 0 and qform_code 0"):
        read(path)


def test_a_qform_that_contradicts_is_said(tmp_path):
    image = nibabel.Nifti1Image(INSIDE.astype("i1"), AFFINE)
    image.set_sform(AFFINE, code=4)
    image.set_qform(AFFINE @ np.diag([-1, 1, 1, 1]), code=1)
    nibabel.save(image, tmp_path / "mask.nii.gz")
    assert images.describe_sides(tmp_path / "mask.nii.gz").endswith("has left and right exchanged")
    image.set_qform(AFFINE, code=1)
    nibabel.save(image, tmp_path / "mask.nii.gz")
    assert (
        images.describe_sides(tmp_path / "mask.nii.gz")
        == "left is x < 0 by its sform (code 4, MNI 152), stored in order RAS"
    )


FLIPPED = {
    "x": (slice(None, None, -1), slice(None), slice(None)),
    "y": (slice(None), slice(None, None, -1), slice(None)),
    "x and z": (slice(None, None, -1), slice(None), slice(None, None, -1)),
}


@pytest.mark.parametrize("rule", ["position", "halves"])
@pytest.mark.parametrize("order", [*FLIPPED, "axes exchanged", "canonical"])
def test_left_is_left_in_any_storage_order(tmp_path, order, rule):
    values, affine = INSIDE.astype("f4"), AFFINE.copy()
    if order in FLIPPED:
        values = values[FLIPPED[order]]
        for axis, part in enumerate(FLIPPED[order]):
            if part.step == -1:
                affine[:, 3] += affine[:, axis] * (SHAPE[axis] - 1)
                affine[:, axis] *= -1
    elif order == "axes exchanged":
        values, affine = values.transpose(2, 0, 1), affine[:, [2, 0, 1, 3]]
    mask = images.read_mask(save(tmp_path / "mask.nii.gz", values, affine))
    left, right = assign_hemispheres(mask, rule)
    canonical = nibabel.Nifti1Image(INSIDE.astype("i1"), AFFINE)
    x = np.array([AFFINE[0] @ [*voxel, 1] for voxel in np.argwhere(INSIDE)])
    if rule == "position":
        assert places(mask, left) == places(canonical, x < 0)
        assert places(mask, right) == places(canonical, x > 0)
    else:  # which voxels of the midline count as left depends on the order, all others do not
        assert {x for x, _, _ in places(mask, left)} == {-8.0, -4.0, 0.0}
        assert left.sum() == INSIDE.sum() // 2
        assert (~left == right).all()


def test_halves_are_those_of_the_published_code(published):
    mask = images.read_mask(published / "lpp" / "mask_lpp_en.nii.gz")
    left, right = assign_hemispheres(mask, "halves")
    assert len(left) == 25870
    np.testing.assert_array_equal(left, np.arange(25870) < 12935)
    np.testing.assert_array_equal(right, ~left)


ACCEPTED = {
    "NaN outside": np.where(INSIDE, 1, np.nan).astype("f4"),
    "infinite outside": np.where(INSIDE, 1, -np.inf).astype("f4"),
    "one volume in four dimensions": INSIDE[..., None].astype("i1"),
    "one volume in five dimensions": INSIDE[..., None, None].astype("i1"),
    "another value inside": 255 * INSIDE.astype("u1"),
    "float64": INSIDE.astype("f8"),
}


@pytest.mark.parametrize("values", ACCEPTED.values(), ids=ACCEPTED)
def test_masks_that_nilearn_accepts_are_read_alike(tmp_path, values):
    from nilearn.masking import load_mask_img

    path = save(tmp_path / "mask.nii.gz", values)
    mask = images.read_mask(path)
    assert mask.shape == SHAPE
    np.testing.assert_array_equal(np.asarray(mask.dataobj), INSIDE)
    if values.ndim < 5:
        expected, affine = load_mask_img(str(path))
        np.testing.assert_array_equal(np.asarray(mask.dataobj), expected.reshape(SHAPE))
        np.testing.assert_array_equal(mask.affine, affine)


def test_a_mask_that_is_stored_with_a_scale_is_read(tmp_path):
    image = nibabel.Nifti1Image(INSIDE.astype("u1"), AFFINE)
    image.header.set_slope_inter(0.5, 0)
    nibabel.save(image, tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(np.asarray(images.read_mask(tmp_path / "mask.nii.gz").dataobj), INSIDE)


REFUSED = {
    "several volumes": (np.ones((*SHAPE, 2), "i1"), "expected one volume, got 2"),
    "probabilities": (np.linspace(0, 1, 60, dtype="f4").reshape(SHAPE), "got 60 values from 0 to 1"),
    "no background": (1 + INSIDE.astype("i1"), "got 2 values from 1 to 2"),
    "empty": (np.zeros(SHAPE, "i1"), "got 0 in all voxels"),
    "only NaN": (np.full(SHAPE, np.nan, "f4"), "got 0 in all voxels"),
    "two dimensions": (np.ones((3, 4), "i1"), r"get it again \(shape \(3, 4\)\)"),
    "colours": (np.zeros(SHAPE, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])), "not numbers"),
}


@pytest.mark.parametrize(("values", "reason"), REFUSED.values(), ids=REFUSED)
def test_masks_that_are_none_are_refused(tmp_path, values, reason):
    with pytest.raises(InputError, match=rf"mask\.nii\.gz: .*{reason}"):
        images.read_mask(save(tmp_path / "mask.nii.gz", values))


def test_an_affine_without_volume_is_refused(tmp_path):
    path = save(tmp_path / "mask.nii", INSIDE.astype("i1"))
    content = bytearray(path.read_bytes())
    content[280:296] = bytes(16)  # srow_x
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"mask\.nii: expected an affine that gives each voxel a place"):
        images.read_mask(path)


def test_labels_are_whole_numbers(tmp_path):
    labels = np.where(INSIDE, np.arange(60).reshape(SHAPE), np.nan).astype("f4")
    atlas = images.read_labels(save(tmp_path / "atlas.nii.gz", labels[..., None]))
    np.testing.assert_array_equal(np.asarray(atlas.dataobj), np.where(INSIDE, np.arange(60).reshape(SHAPE), 0))
    assert atlas.get_data_dtype() == np.int32
    with pytest.raises(InputError, match=r"atlas\.nii\.gz: expected whole numbers, .* got 0\.5"):
        images.read_labels(save(tmp_path / "atlas.nii.gz", np.full(SHAPE, 0.5, "f4")))
    with pytest.raises(InputError, match=r"expected one volume of labels, got 3 volumes"):
        images.read_labels(save(tmp_path / "atlas.nii.gz", np.ones((*SHAPE, 3), "i1")))


def test_maps_keep_the_space_of_the_mask(study_folder):
    mask = images.read_mask(save(study_folder / "mask_lpp_en.nii.gz", INSIDE.astype("i1"), sform_code=4))
    values = np.random.default_rng(1).random((2, INSIDE.sum()))
    save_map(values, mask, "map")
    maps = images.read_image(figure_path("map.nii.gz"))
    assert int(maps.header["sform_code"]) == 4
    np.testing.assert_allclose(maps.get_fdata()[INSIDE].T, values, atol=1e-6)
    np.testing.assert_array_equal(maps.affine, mask.affine)


def test_another_storage_order_than_the_published_one_is_seen(tmp_path):
    """Arrays next to a mask that was stored in another order later would be mirrored; its affine cannot show it."""
    image = nibabel.Nifti1Image(INSIDE.astype("i1"), AFFINE)
    nibabel.save(image, tmp_path / "mask.nii.gz")
    assert images.is_in_published_order(tmp_path / "mask.nii.gz")
    nibabel.save(image.as_reoriented([[0, -1], [1, 1], [2, 1]]), tmp_path / "mask.nii.gz")
    assert not images.is_in_published_order(tmp_path / "mask.nii.gz")
    assert images.describe_sides(tmp_path / "mask.nii.gz").endswith("stored in order LAS")
