"""Make the embedded study: every input of a real study, small and simulated.

    python -m demo.make_study --output_folder embedded_study

writes into embedded_study/, in the formats of the data published for Le Petit Prince,

    lpp_en_text.zip, lppEN_word_information.csv       a story in a small language of 230 words
    checkpoints/small_lm/step{step}-tokens{tokens}/   a language model trained on it
    blimp/data/*.jsonl, Zorro/sentences/babyberta/*.txt
                                                      minimal pairs of the language, hard and easy
    prompts.txt, checkpoints/small_judge/             openings of texts, and a judge of the texts
    lm_eval_tasks/{small_endings,counting}.{yaml,jsonl}
                                                      tasks for lm_eval: how does a sentence go on, and
                                                      how many nouns does a list have?
    mask_lpp_en.nii.gz, isc_10trials_en.gz            a coarse brain, and which voxels are reliable
    lpp_en_average_subject/average_subject_run-{run}.gz
                                                      a simulated listener, whose left hemisphere
                                                      follows the grammar more than the right
    note.txt                                          that all this is simulated
    null/                                             a listener whose hemispheres follow it equally
    noisy/                                            likewise, with more noise in the right hemisphere

``demo/listeners.py`` describes the three listeners. Each has its own weights and noise.
Nothing in it is a measurement of a brain. It shows whether the pipeline recovers a known truth.
"""

import os
import random
import zipfile
from pathlib import Path

import joblib
import numpy as np
import pandas as pd

from demo import endings, judge, language_model, listener, pairs
from demo.language import speak, spell
from demo.listeners import LISTENERS
from pipeline.errors import InputError
from study.command_line import ArgumentParser, run_script
from study.files.safe_joblib import write_arrays
from study.files.tables import write_table
from study.paths import average_subject_path, isc_path, mask_path, note_path, study_folder, text_path, word_timings_path
from study.stages.threads import limit_threads

LANG = "en"
NOTE = (
    "The language and the listener are simulated: this study shows that the pipeline recovers a known truth. It is not "
    "evidence about brains. Put in: {truth}.\n"
)
PLACES = {".": "asymmetric", "null": "symmetric", "noisy": "noisier_right_0.851"}  # in the study folder
SECONDS_PER_WORD = 0.36
FIRST_ONSET_S = 0.5
LAST_SCANS_S = 10  # the scanner runs on after the story
N_PAIRS = 300
N_TRAINING_RUNS = 60  # of further stories, see listener.make_signals
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
        remedy = "Remove it, or choose another --output_folder."
        raise InputError(f"{args.output_folder}: expected a new folder, got an existing folder. {remedy}")

    args.output_folder.mkdir(parents=True)
    os.environ["LTBA_DIR"] = str(args.output_folder)
    rng = random.Random(args.seed)
    runs = [tell(args.words, rng) for _ in range(args.runs)]
    onsets, offsets = make_timings(args.words)
    write_story(runs, onsets, offsets)
    folder = args.output_folder
    pairs.write_blimp(folder / "blimp" / "data", N_PAIRS, args.seed)
    pairs.write_zorro(folder / "Zorro" / "sentences" / "babyberta", N_PAIRS, args.seed)
    endings.write_tasks(folder / "lm_eval_tasks", N_PAIRS, args.seed)
    (folder / "prompts.txt").write_text("".join(prompt + "\n" for prompt in make_prompts(args.seed)))
    checkpoints = folder / "checkpoints"
    joblib.Parallel(n_jobs=2)(
        joblib.delayed(call_on_one_core)(function, *arguments)
        for function, *arguments in (
            (language_model.train, checkpoints / "small_lm", args.steps, args.seed),
            (judge.train, checkpoints / "small_judge", args.judge_steps, args.seed),
            (make_listeners, runs, onsets, offsets, rng, args.seed),
        )
    )
    print(f"the embedded study is in {args.output_folder}")


def call_on_one_core(function, *arguments):
    """Call a function on one core, so that trained weights do not depend on the number of cores."""
    limit_threads(1)
    function(*arguments)


def tell(n_words, rng):
    """Tell a story of a run, n_words words in all: a list of sentences, lists of (word, category, state)."""
    sentences, n_left = [], n_words
    while n_left > 0:
        *words, end = speak(rng, with_state=True)
        sentences.append([*words[:n_left], end])  # the last sentence may be cut short
        n_left -= len(words)
    return sentences


def make_prompts(seed):
    """Make openings of texts: short sentences of the language."""
    rng = random.Random(f"{seed} prompts")
    prompts: list[str] = []
    while len(prompts) < N_PROMPTS:
        words = [word for word, _, _ in speak(rng, list_share=0)]
        if len(words) <= 7:
            prompts.append(spell(words))
    return prompts


def make_timings(n_words):
    """Make the onsets and offsets of the words of a run, arrays of shape (n_words,), seconds."""
    onsets = FIRST_ONSET_S + SECONDS_PER_WORD * np.arange(n_words)
    return onsets, onsets + 0.8 * SECONDS_PER_WORD


def list_words(sentences):
    """List the words of a run with their category and state, without the full stops."""
    return [word for words in sentences for word in words[:-1]]


def write_story(runs, onsets, offsets):
    """Write the text and the word timings of a story in the formats published for Le Petit Prince."""
    with zipfile.ZipFile(text_path(LANG), "w", zipfile.ZIP_DEFLATED) as archive:
        for run, sentences in enumerate(runs, start=1):
            text = " ".join(spell([word for word, _, _ in words]) for words in sentences)
            archive.writestr(f"lpp_{LANG}_text/text_{LANG}_run{run}.txt", text + "\n")
    table = pd.concat(
        pd.DataFrame(
            {
                # Annotators write compounds in one word.
                "word": [word.replace("-", "") for word, _, _ in list_words(sentences)],
                "onset": onsets.round(3),
                "offset": offsets.round(3),
                "section": section,
            }
        )
        for section, sentences in enumerate(runs, start=1)
    )
    write_table(word_timings_path(LANG), table)


def make_listeners(runs, onsets, offsets, rng, seed):
    """Simulate the listener of the study, and the listeners of the studies in null/ and noisy/."""
    mask = listener.make_brain_mask()
    n_scans = int(np.ceil((offsets[-1] + LAST_SCANS_S) / 2))
    training_runs = [list_words(tell(len(onsets), rng)) for _ in range(N_TRAINING_RUNS)]
    signals = listener.make_signals(
        [list_words(run) for run in runs],
        training_runs,
        onsets=onsets,
        offsets=offsets,
        n_scans=n_scans,
        rng=np.random.default_rng(seed),
    )
    folder = study_folder()
    for number, (place, name) in enumerate(PLACES.items()):
        (folder / place).mkdir(exist_ok=True)
        os.environ["LTBA_DIR"] = str(folder / place)
        fmri, isc = listener.listen(mask, signals, [seed, number], **LISTENERS[name]["options"])
        for run, scans in enumerate(fmri):
            write_arrays(average_subject_path(LANG, run), scans)
        write_arrays(isc_path(LANG), isc)
        mask.to_filename(mask_path(LANG))
        note_path().write_text(NOTE.format(truth=LISTENERS[name]["truth"]))
    os.environ["LTBA_DIR"] = str(folder)


if __name__ == "__main__":
    run_script(main)
