"""Let a language model write: a few texts from each of a few prompts.

    python generate_texts.py --model allenai/OLMo-2-1124-7B --revision stage1-step150-tokens1B

writes  generated_texts/{model}_{revision}_gen_{prompt}_{sample}.txt   prompt and what follows it

in the study folder (LTBA_DIR, or the folder of this script); prompts and samples count from 0.
Tokens are drawn from the model's own probabilities. On the CPU, the same --seed gives the same
texts, whatever the batch size, and whatever else is asked for; texts that are there are left
alone, so that a run that was interrupted goes on where it stopped. The model is a name on the
Hugging Face hub or a local folder, of which --revision names a sub-folder.
"""

import llm_brain_asym as study

import time
from pathlib import Path

from pipeline import files, generation, work
from pipeline.batches import in_batches
from report import progress


def main():
    """Write the texts of one checkpoint that are not there yet."""
    parser = study.ArgumentParser(__doc__)
    study.add_checkpoint_arguments(parser)
    parser.set_defaults(device="cpu")
    parser.add_argument("--batch_size", type=study.whole_number, default=50, help="texts at once (default: 50)")
    parser.add_argument("--output_folder", type=Path, help="default: generated_texts in the study folder")
    parser.add_argument("--seed", type=int, default=12345, help="which texts are drawn (default: 12345)")
    parser.add_argument("--prompts", type=Path, help="text file with a prompt a line (default: five of our own)")
    parser.add_argument("--n_samples", type=study.whole_number, default=10, help="texts of a prompt (default: 10)")
    parser.add_argument("--max_new_tokens", type=study.whole_number, default=200, help="tokens a text (default: 200)")
    parser.add_argument("--temperature", type=float, default=1.0, help="default: 1, the model's own probabilities")
    args = parser.parse_args()
    if not args.temperature > 0:
        parser.error(f"--temperature {args.temperature:g}: it must be above 0")

    prompts = study.read_prompts(args.prompts) if args.prompts else generation.PROMPTS
    folder = args.output_folder or study.generated_texts_folder()
    stem = study.checkpoint_stem(args.model, args.revision)
    missing, together = find_missing(prompts, stem, folder, args), folder / f"{stem}_gen"
    if missing or work.is_left_behind(together):
        with files.alone(together, study.say):
            options = {"seed": args.seed, "max_new_tokens": args.max_new_tokens, "temperature": args.temperature}
            options |= {"revision": args.revision, "dtype": args.dtype, "prompts": list(prompts)}
            with study.parts_of(together, options, args.model) as parts:
                # Another job may have written some, or this one before it was stopped (with --overwrite).
                missing = [text for text in find_missing(prompts, stem, folder, args) if not is_marked(parts, text[0])]
                if missing:
                    study.use_threads(args.threads)
                    loaded = study.load_for(parts, args, [prompt for _, prompt, *_ in missing], folder)
                    # Of other weights, texts that this job has written are not kept.
                    every = find_missing(prompts, stem, folder, args)
                    missing = [text for text in every if not is_marked(parts, text[0])]
                    write_texts(missing, parts, args, *loaded)
    print(f"{len(prompts) * args.n_samples} texts, {len(missing)} of them new, in {folder}/{stem}_gen_*.txt")


def find_missing(prompts, stem, folder, args):
    """The texts that are not there yet, a list of (path, prompt, parameters, seed of the text)."""
    missing = []
    for number, prompt in enumerate(prompts):
        for sample in range(args.n_samples):
            path = study.generated_text_path(stem, number, sample, folder)
            parameters = {
                "model": study.checkpoint_stem(args.model),
                "revision": args.revision,
                "dtype": args.dtype,
                "prompt": prompt,
                "sample": sample,
                "seed": args.seed,
                "max_new_tokens": args.max_new_tokens,
                "temperature": args.temperature,
            }
            if not study.is_finished(path, parameters, args.overwrite, args.model):
                missing.append((path, prompt, parameters, generation.text_seed(args.seed, prompt, sample)))
    return missing


def mark(parts, path):
    """What tells that a text was written by the same command."""
    return parts / f"{path.name}.written"


def is_marked(parts, path):
    """Whether a text is there in whole, and made by this job."""
    return path.exists() and mark(parts, path).exists()


def write_texts(missing, parts, args, model, tokenizer, checkpoint):
    """Generate texts a batch at a time, and write each batch as soon as it is there."""
    stem = study.checkpoint_stem(args.model, args.revision)
    with progress.bar(len(missing) * args.max_new_tokens, f"texts of {stem}", "token") as bar:
        n_written = 0

        def write(batch):
            nonlocal n_written
            started = time.time()
            paths, prompts, parameters, seeds = zip(*batch, strict=True)
            texts = generation.continue_prompts(
                model, tokenizer, list(prompts), seeds, args.max_new_tokens, args.temperature, bar.update, bar.write
            )
            for path, text, how in zip(paths, texts, parameters, strict=True):
                with files.new_file(parts / path.name) as temporary:
                    temporary.write_text(text, encoding="utf-8", newline="")
                study.finish(parts, [path], how, [], started, checkpoint, args.seed)
                mark(parts, path).touch()
            n_written += len(texts)
            # Texts that ended before their last token are done as well.
            bar.update(n_written * args.max_new_tokens - bar.n)

        in_batches(missing, args.batch_size, write, bar.write)


if __name__ == "__main__":
    study.run_script(main)
