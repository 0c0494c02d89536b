"""List the inputs of a study: where they belong, whether they are usable, and how to get them."""

from study import paths
from study.inputs.blimp_zorro import BLIMP, ZORRO
from study.inputs.le_petit_prince import ANNOTATIONS, LATERALIZATION

OPTIONAL = ("BLiMP", "Zorro", "atlas", "training tokens")
CLONE = f"[ -d lpp_published ] || git clone --depth 1 {LATERALIZATION} lpp_published; cp"
ANNOTATION = "https://s3.amazonaws.com/openneuro.org/ds003643/annotation"
OTHERWISE = "  # or made by its compute_average_subject_fmri.py"


def find_inputs(lang):
    """Return the inputs of a study, a list of dict with what, path, source, command, is_optional, is_there, state.

    The command puts the input in its place in the study folder. It is empty for the user's own
    files. The state is ``there``, or the reason in words why the input cannot be used.
    """
    folder, name = paths.study_folder(), lang.upper()
    text, timings, mask = paths.text_path(lang), paths.word_timings_path(lang), paths.mask_path(lang)
    isc, average = paths.isc_path(lang), paths.average_subject_path(lang, 0).parent
    blimp, zorro = folder / "blimp" / "data", folder / "Zorro" / "sentences" / "babyberta"
    rows = [
        ("text of the story", text, LATERALIZATION, f"{CLONE} lpp_published/{text.name} ."),
        ("word timings", timings, ANNOTATIONS.format(LANG=name), f"curl --fail -O {ANNOTATION}/{name}/{timings.name}"),
        ("brain mask", mask, LATERALIZATION, f"{CLONE} lpp_published/{mask.name} ."),
        ("ISC", isc, LATERALIZATION, f"{CLONE} lpp_published/{isc.name} ."),
        ("average subject", average, LATERALIZATION, f"{CLONE} -r lpp_published/{average.name} .{OTHERWISE}"),
        ("BLiMP", blimp, BLIMP, "git clone --depth 1 https://github.com/alexwarstadt/blimp"),
        ("Zorro", zorro, ZORRO, "git clone --depth 1 https://github.com/phueb/Zorro"),
        ("atlas", paths.atlas_path(), "your own", ""),
        ("training tokens", paths.tokens_table_path(), "your own", ""),
    ]
    folders = {average: paths.average_subject_files(lang), blimp: paths.blimp_files(), zorro: paths.zorro_files()}
    described = []
    for what, path, source, command in rows:
        row = {"what": what, "path": path, "source": source, "command": command, "is_optional": what in OPTIONAL}
        row["state"] = describe_input(path, folders.get(path), row["is_optional"])
        described.append(row | {"is_there": row["state"] == "there"})
    return described


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
