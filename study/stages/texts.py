"""Generate texts with one checkpoint."""

import time
from functools import partial

from pipeline.models.batches import work_in_batches
from pipeline.models.generation import continue_prompts, make_text_seed
from study import progress
from study.cache import is_left_behind
from study.files.atomic import write_text
from study.jobs import Job, is_finished
from study.outputs.texts import PROMPTS, read_prompts
from study.paths import checkpoint_stem, generated_text_path, generated_texts_folder
from study.stages.loading import load_for_job
from study.stages.threads import limit_threads


def generate_texts(args):
    """Write the texts of one checkpoint that do not exist yet, with the options of ``generate_texts.py``."""
    prompts = read_prompts(args.prompts) if args.prompts else PROMPTS
    folder = args.output_folder or generated_texts_folder()
    stem = checkpoint_stem(args.model, args.revision)
    all_texts = folder / f"{stem}_gen"  # names the job: no such file is written
    missing = find_missing(prompts, stem, folder, args)
    if missing or is_left_behind(all_texts):
        options = {"seed": args.seed, "max_new_tokens": args.max_new_tokens, "temperature": args.temperature}
        options |= {"revision": args.revision, "dtype": args.dtype, "prompts": list(prompts)}
        with Job(all_texts, options, modules=[__name__], model=args.model, skips_finished=False) as job:

            def find_unwritten():
                texts = find_missing(prompts, stem, folder, args)
                return [text for text in texts if not (text[0].exists() and marker_path(job, text[0]).exists())]

            # Another job may have written some texts, or this job before it was stopped (with --overwrite).
            missing = find_unwritten()
            if missing:
                limit_threads(args.threads)
                loaded = load_for_job(job, args, [prompt for _, prompt, *_ in missing], folder)
                missing = find_unwritten()  # texts that this job wrote with other weights are written again
                write_texts(job, missing, args, *loaded)
    print(f"{len(prompts) * args.n_samples} texts, {len(missing)} of them new, in {folder}/{stem}_gen_*.txt")


def find_missing(prompts, stem, folder, args):
    """Return the texts that do not exist yet, a list of (path, prompt, parameters, seed of the text)."""
    missing = []
    same = {"model": checkpoint_stem(args.model), "revision": args.revision, "dtype": args.dtype}
    options = {"seed": args.seed, "max_new_tokens": args.max_new_tokens, "temperature": args.temperature}
    for number, prompt in enumerate(prompts):
        for sample in range(args.n_samples):
            path = generated_text_path(stem, number, sample, folder)
            parameters = same | {"prompt": prompt, "sample": sample} | options
            if not is_finished(path, parameters, args.overwrite, args.model):
                missing.append((path, prompt, parameters, make_text_seed(args.seed, prompt, sample)))
    return missing


def marker_path(job, path):
    """Return the file in the cache that marks a text as written by this job."""
    return job.folder / f"{path.name}.written"


def write_texts(job, missing, args, model, tokenizer):
    """Generate texts a batch at a time, and write each batch as soon as it is complete."""
    stem = checkpoint_stem(args.model, args.revision)
    with progress.bar(len(missing) * args.max_new_tokens, f"texts of {stem}", "token") as bar:
        n_written = 0

        def write_batch(batch):
            nonlocal n_written
            started = time.time()
            paths, prompts, parameters, seeds = zip(*batch, strict=True)
            texts = continue_prompts(
                model, tokenizer, list(prompts), seeds, args.max_new_tokens, args.temperature, bar.update, bar.write
            )
            for path, text, options in zip(paths, texts, parameters, strict=True):
                job.finish({path: partial(write_text, text=text)}, seed=args.seed, parameters=options, started=started)
                marker_path(job, path).touch()
            n_written += len(texts)
            # Texts that ended before their last token are done as well.
            bar.update(n_written * args.max_new_tokens - bar.n)

        work_in_batches(missing, args.batch_size, write_batch, bar.write)
