"""Make the embedded study: everything that the real study needs, small, made on the spot.

    python -m demo.make_study --output_folder embedded_study

writes into embedded_study/, in the formats that are published for Le Petit Prince,

    lpp_en_text.zip, lppEN_word_information.csv       a story in a small language of 230 words
    checkpoints/small_lm/step{step}-tokens{tokens}/   a language model trained on it
    blimp/data/*.jsonl, Zorro/sentences/babyberta/*.txt
                                                      minimal pairs of the language, hard and easy
    prompts.txt, checkpoints/small_judge/             openings of texts, and who judges the texts
    lm_eval_tasks/small_endings.{yaml,jsonl}          a task for lm_eval: how does a sentence go on?
    mask_lpp_en.nii.gz, isc_10trials_en.gz            a coarse brain, and which voxels are reliable
    lpp_en_average_subject/average_subject_run-{run}.gz
                                                      a simulated listener, whose left hemisphere
                                                      follows the grammar more than the right
    note.txt                                          that all this is made
    null/                                             a listener whose hemispheres do so alike

Nothing in it is a measurement of a brain. It shows whether the pipeline finds what was put in.
"""

import os
import random
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from demo import endings, judge, language_model, listener, pairs
from demo.language import sentence, spell
from pipeline.errors import InputError
from study.command_line import ArgumentParser, run_script
from study.files.safe_joblib import write_arrays
from study.files.tables import write_table
from study.paths import average_subject_path, isc_path, mask_path, note_path, study_folder, text_path, word_timings_path

LANG = "en"
NOTE = (
    "The language and the listener are made: what is found here was put in, and shows that the pipeline finds a known "
    "truth. It is no evidence about brains.\n"
)
SECONDS_PER_WORD = 0.36
FIRST_ONSET_S = 0.5
LAST_SCANS_S = 10  # the scanner runs on after the story
N_PAIRS = 300
N_OTHER_RUNS = 60
N_PROMPTS = 5


def main():
    """Make the files of the embedded study."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--output_folder", type=Path, default=Path("embedded_study"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--words", type=int, default=600, help="words in each run")
    parser.add_argument("--steps", type=int, default=1024, help="training steps of the model, a power of 2")
    parser.add_argument("--judge_steps", type=int, default=judge.N_STEPS, help="training steps of the judge")
    args = parser.parse_args()
    if args.output_folder.exists():
        raise InputError(f"{args.output_folder} is there already: remove it, or choose another --output_folder")

    args.output_folder.mkdir(parents=True)
    os.environ["LTBA_DIR"] = str(args.output_folder)
    rng = random.Random(args.seed)
    runs = [tell(args.words, rng) for _ in range(args.runs)]
    onsets, offsets = timings(args.words)
    write_story(runs, onsets, offsets)
    make_listeners(runs, onsets, offsets, rng, args.seed)
    folder = args.output_folder
    pairs.write_blimp(folder / "blimp" / "data", N_PAIRS, args.seed)
    pairs.write_zorro(folder / "Zorro" / "sentences" / "babyberta", N_PAIRS, args.seed)
    endings.write_task(folder / "lm_eval_tasks", N_PAIRS, args.seed)
    (folder / "prompts.txt").write_text("".join(prompt + "\n" for prompt in prompts(args.seed)))
    language_model.train(folder / "checkpoints" / "small_lm", args.steps, args.seed)
    judge.train(folder / "checkpoints" / "small_judge", args.seed, args.judge_steps)
    print(f"the embedded study is in {args.output_folder}")


def tell(n_words, rng):
    """Sentences of one run, n_words words in all; each a list of (word, category, state)."""
    sentences, n_left = [], n_words
    while n_left > 0:
        spoken = sentence(rng, with_state=True)
        *words, end = spoken
        sentences.append([*words[:n_left], end])  # the last sentence may be cut short
        n_left -= len(words)
    return sentences


def prompts(seed):
    """Openings of texts: short sentences of the language."""
    rng = random.Random(f"{seed} prompts")
    found: list[str] = []
    while len(found) < N_PROMPTS:
        words = [word for word, _, _ in sentence(rng)]
        if len(words) <= 7:
            found.append(spell(words))
    return found


def timings(n_words):
    """Onsets and offsets of the words of a run, arrays of shape (n_words,), seconds."""
    onsets = FIRST_ONSET_S + SECONDS_PER_WORD * np.arange(n_words)
    return onsets, onsets + 0.8 * SECONDS_PER_WORD


def spoken_words(sentences):
    """The words of a run with their category and state, without the full stops."""
    return [word for words in sentences for word in words[:-1]]


def write_story(runs, onsets, offsets):
    """Write the text and the word timings of a story as those of Le Petit Prince are published."""
    with zipfile.ZipFile(text_path(LANG), "w", zipfile.ZIP_DEFLATED) as archive:
        for run, sentences in enumerate(runs, start=1):
            text = " ".join(spell([word for word, _, _ in words]) for words in sentences)
            archive.writestr(f"lpp_{LANG}_text/text_{LANG}_run{run}.txt", text + "\n")
    table = pd.concat(
        pd.DataFrame(
            {
                # Annotators write compounds in one word.
                "word": [word.replace("-", "") for word, _, _ in spoken_words(sentences)],
                "onset": onsets.round(3),
                "offset": offsets.round(3),
                "section": section,
            }
        )
        for section, sentences in enumerate(runs, start=1)
    )
    write_table(word_timings_path(LANG), table)


def make_listeners(runs, onsets, offsets, rng, seed):
    """Simulate the listener of the study, and the one of the study in null/."""
    mask = listener.brain_mask()
    n_scans = int(np.ceil((offsets[-1] + LAST_SCANS_S) / 2))
    other_runs = [spoken_words(tell(len(onsets), rng)) for _ in range(N_OTHER_RUNS)]
    signals = listener.signals(
        [spoken_words(run) for run in runs], other_runs, onsets, offsets, n_scans, np.random.default_rng(seed)
    )
    folder = study_folder()
    for place, syntactic_right in [(folder, listener.SYNTACTIC_RIGHT), (folder / "null", listener.SYNTACTIC_LEFT)]:
        place.mkdir(exist_ok=True)
        os.environ["LTBA_DIR"] = str(place)
        fmri, isc = listener.listen(mask, signals, syntactic_right, seed)
        for run, scans in enumerate(fmri):
            write_arrays(average_subject_path(LANG, run), scans)
        write_arrays(isc_path(LANG), isc)
        mask.to_filename(mask_path(LANG))
        note_path().write_text(NOTE)
    os.environ["LTBA_DIR"] = str(folder)


if __name__ == "__main__":
    run_script(main)
