"""List the inputs of a study: where they belong, whether they are usable, and how to get them."""

from study.inputs.blimp_zorro import BLIMP, ZORRO
from study.inputs.le_petit_prince import ANNOTATIONS, LATERALIZATION
from study.paths import (
    atlas_path,
    average_subject_files,
    average_subject_path,
    blimp_files,
    isc_path,
    mask_path,
    study_folder,
    text_path,
    tokens_table_path,
    word_timings_path,
    zorro_files,
)


def find_inputs(lang):
    """Return the inputs of a study.

    Parameters
    ----------
    lang : str

    Returns
    -------
    list of dict with what, path, source, command, is_optional, is_there, state
        The command puts the input in its place in the study folder. It is empty for the user's own
        files. The state is ``there``, or the reason in words why the input cannot be used.
    """
    folder, name = study_folder(), lang.upper()
    average_subject = average_subject_path(lang, 0).parent
    blimp, zorro = folder / "blimp" / "data", folder / "Zorro" / "sentences" / "babyberta"
    clone = f"[ -d lpp_published ] || git clone --depth 1 {LATERALIZATION} lpp_published"
    timings = "https://s3.amazonaws.com/openneuro.org/ds003643/annotation"
    rows = [
        ("text of the story", text_path(lang), LATERALIZATION, f"{clone}; cp lpp_published/lpp_{lang}_text.zip ."),
        (
            "word timings",
            word_timings_path(lang),
            ANNOTATIONS.format(LANG=name),
            f"curl --fail -O {timings}/{name}/lpp{name}_word_information.csv",
        ),
        ("brain mask", mask_path(lang), LATERALIZATION, f"{clone}; cp lpp_published/mask_lpp_{lang}.nii.gz ."),
        ("ISC", isc_path(lang), LATERALIZATION, f"{clone}; cp lpp_published/isc_10trials_{lang}.gz ."),
        (
            "average subject",
            average_subject,
            LATERALIZATION,
            f"{clone}; cp -r lpp_published/{average_subject.name} .  # or made by its compute_average_subject_fmri.py",
        ),
        ("BLiMP", blimp, BLIMP, "git clone --depth 1 https://github.com/alexwarstadt/blimp"),
        ("Zorro", zorro, ZORRO, "git clone --depth 1 https://github.com/phueb/Zorro"),
        ("atlas", atlas_path(), "your own", ""),
        ("training tokens", tokens_table_path(), "your own", ""),
    ]
    files_in = {
        average_subject: average_subject_files(lang),
        blimp: blimp_files(),
        zorro: zorro_files(),
    }
    optional = ("BLiMP", "Zorro", "atlas", "training tokens")
    keys = "what", "path", "source", "command"
    needed = [dict(zip(keys, row, strict=True)) | {"is_optional": row[0] in optional} for row in rows]
    for row in needed:
        row["state"] = describe_input(row["path"], files_in.get(row["path"]), row["is_optional"])
        row["is_there"] = row["state"] == "there"
    return needed


def describe_input(path, files_in_it, is_optional):
    """Return the state of an input in words; files_in_it is None where a file is expected."""
    if path.is_symlink() and not path.exists():
        return "is a link to nothing"
    if files_in_it is None and path.is_dir():
        return "is a folder (expected a file)"
    if files_in_it is not None and path.is_file():
        return "is a file (expected a folder)"
    if files_in_it == [] and path.is_dir():
        return "is an empty folder" if not any(path.iterdir()) else "is a folder of other files"
    if path.exists():
        return "there"
    return "not there (optional)" if is_optional else "MISSING"
