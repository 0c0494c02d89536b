"""Read a brain benchmark, and write its stimuli as a story table and its responses in reading order.

    python -m experiments.brain_score.prepare --benchmark pereira384 --file assy_Pereira2018_language.nc
    python -m experiments.brain_score.prepare --benchmark mine --responses F.npz --stimuli F.csv --neuroids G.csv

reads   FILE            netCDF-4 as brainscore-language publishes it (README.md in this folder), by h5py
        or --responses  .npz: responses (n_units, n_neuroids)
           --stimuli    a row per unit in reading order: stimulus, run; group where folds keep more together than runs
           --neuroids   a row per neuroid: neuroid, subject; region, x, y, z where they are known
writes  stories/{benchmark}.csv               a row per unit: run, unit, text_before
        brain_benchmarks/{benchmark}.npz      responses, subjects, regions, neuroids, positions, runs, groups, units

in the study folder (LTBA_DIR, or the folder of the project). A run is a passage, a story or a sentence; a unit is a
sentence, a 2-s bin or a word. Words in capitals become sentence case, and spaces at the ends of units go.
--as_published keeps both, and removes spaces before punctuation marks, as brainscore-language does.
"""

from pathlib import Path

from study.command_line import ArgumentParser, run_script, story_name

PUBLISHED = ("pereira243", "pereira384", "blank", "fedorenko", "tuckute")


def main():
    """Prepare one benchmark."""
    parser = ArgumentParser(__doc__)
    add = parser.add_argument
    names = f"{', '.join(PUBLISHED)}, or a name for files of your own"
    add("--benchmark", type=story_name, required=True, metavar="NAME", help=names)
    add("--file", type=Path, help="the published netCDF-4 file")
    add("--responses", type=Path, help="responses of your own, .npz")
    add("--stimuli", type=Path, help="their stimuli, .csv")
    add("--neuroids", type=Path, help="their neuroids, .csv")
    add("--as_published", action="store_true", help="keep capitals and the spaces at the ends of units")
    add("--overwrite", action="store_true", help="make the output again if it exists")
    args = parser.parse_args()
    own = [args.responses, args.stimuli, args.neuroids]
    if bool(args.file) == any(own) or (any(own) and not all(own)):
        parser.error("expected --file, or --responses, --stimuli and --neuroids")
    if args.file and args.benchmark not in PUBLISHED:
        parser.error(f"--benchmark {args.benchmark}: expected one of {', '.join(PUBLISHED)} with --file")

    from study.stages.brain_prepare import prepare_benchmark

    prepare_benchmark(args)


if __name__ == "__main__":
    run_script(main)
