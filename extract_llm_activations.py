"""Extract the hidden states of a language model at every word of the story.

    python extract_llm_activations.py --model allenai/OLMo-2-1124-7B --revision stage1-step150-tokens1B --lang en

reads   lpp_{lang}_text.zip                          the story as it is written
        lpp{LANG}_word_information.csv               the story as it is heard, word by word
writes  llms_activations/{model}_{revision}_{lang}.lz4
                                                     joblib: list over runs of list over layers of
                                                     float32 array (n_words, n_units)
        llms_activations/onsets_offsets_{lang}.lz4   joblib: list over runs of (onsets, offsets), seconds

in the study folder (LTBA_DIR, or the folder of this script). The model is a name on the Hugging
Face hub or a local folder, of which --revision names a sub-folder.
"""

import llm_brain_asym as study

import contextlib
import os
import time

import numpy as np

from pipeline import BadInput, activations, files, work
from report import progress, story_inputs


def main():
    """Extract the word vectors of one checkpoint."""
    parser = study.ArgumentParser(__doc__)
    study.add_checkpoint_arguments(parser)
    parser.add_argument("--lang", choices=study.LANGUAGES, default="en", help="language of the story (default: en)")
    parser.add_argument(
        "--max_length", type=study.whole_number, help="tokens the model reads at once (default: its context)"
    )
    args = parser.parse_args()
    started = time.time()

    output = study.activations_path(study.checkpoint_stem(args.model, args.revision), args.lang)
    parameters = {"revision": args.revision, "dtype": args.dtype, "max_length": args.max_length}
    inputs = [study.text_path(args.lang), study.word_timings_path(args.lang)]
    with study.job(output, parameters, args.overwrite, args.model, inputs) as parts:
        if parts is None:
            return
        texts, words_of_runs, onsets_offsets = story_inputs.read_story(args.lang)
        spans_of_runs = story_inputs.place_words(words_of_runs, texts, args.lang)
        if not args.overwrite:
            story_inputs.check_same_timings(onsets_offsets, args.lang)
        study.use_threads(args.threads)
        model, tokenizer, checkpoint = study.load_for(parts, args, texts)

        activations_of_runs: list[list[np.ndarray]] = []  # runs of layers of (n_words, n_units)
        with progress.bar(sum(map(len, spans_of_runs)), output.stem, "word") as bar:
            for text, spans in zip(texts, spans_of_runs, strict=True):
                run = len(activations_of_runs) + 1
                part = parts / f"run-{run}.npz"
                if (done := work.read_part(part)) is not None:
                    vectors = done["vectors"]
                    bar.update(len(spans))
                else:
                    try:
                        vectors = activations.word_vectors(model, tokenizer, text, spans, args.max_length, bar.update)
                    except BadInput as error:
                        at_fault = f"{args.model} {args.revision or ''}, run {run} of the story"
                        raise BadInput(f"{at_fault}: {error}") from error
                    work.save_part(part, vectors=vectors)
                activations_of_runs.append(list(vectors))

        write_timings(onsets_offsets, args.lang, args.overwrite, parts)
        files.write_arrays(parts / output.name, activations_of_runs)
        study.finish(parts, [output], parameters, inputs, started, checkpoint)
    n_layers, n_words, n_units = len(vectors), sum(map(len, spans_of_runs)), vectors.shape[-1]
    n_rows, timings = study.count_timing_rows(args.lang), study.word_timings_path(args.lang).name
    unused = f"; {n_rows - n_words} of {n_rows} rows of {timings} have no word" if n_rows > n_words else ""
    print(f"{n_words} words, {n_layers} layers (with the embedding) of {n_units} units in {output}{unused}")


def write_timings(onsets_offsets, lang, overwrite, parts):
    """Write the file of timings, unless it is there: jobs that run at the same time share it."""
    path = study.onsets_offsets_path(lang)
    with files.alone(path):
        if not overwrite:
            story_inputs.check_same_timings(onsets_offsets, lang)
        with contextlib.suppress(BadInput):  # a damaged file is written anew
            if story_inputs.is_of_timings(path, onsets_offsets):
                return
        files.write_arrays(parts / path.name, onsets_offsets)
        os.replace(parts / path.name, path)


if __name__ == "__main__":
    study.run_script(main)
