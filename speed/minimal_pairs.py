"""Time log-probabilities of minimal pairs against lm-eval.

    python -m speed.minimal_pairs
    python -m speed.minimal_pairs --model_shape olmo2-7b --dtype bfloat16 --device cuda --paradigms all

``minimal_pairs.score_pairs`` scores both sentences of every pair of some paradigms of BLiMP and of Zorro. In turn,
lm-eval does the same by ``HFLM.loglikelihood``, with the requests of its task BLiMP: no context, and the whole
sentence, with the space before it, as the continuation.

lm-eval has the batch size with which it is fastest on a sample of the same sentences. Ours has 256 (--batch_size). With
the scripts' own 64, ours takes a tenth more with the smallest model. Wanted on BLiMP: lm-eval takes at least 3 x our
time with a model of the shape of Pythia-14M, and at least 1.8 x with the shape of Pythia-160M, whose every token costs
more next to the output vocabulary of 50,304. Wanted on Zorro, whose sentences share their beginnings more often: more
than on BLiMP. One thread (--threads).

The models have random weights. The tokenizer is trained on both benchmarks, so that nearly every word is one token, as
with Pythia's. How much can be shared depends on how often sentences begin with the same words. So whole paradigms are
taken: a few that are typical of the whole benchmark in length and in shared beginnings, and fewer for the larger
models. --paradigms all takes every paradigm. With Pythia-14M's shape, that takes 17 minutes. The number of pairs and
the number of different decisions are printed. A benchmark that is not in the folder of published data (--data) is
skipped. Takes about twenty minutes.
"""

import argparse
import logging
import os
import time

import numpy as np
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from pipeline.models.loading import pick_device
from pipeline.tasks.minimal_pairs import score_pairs
from speed import side_by_side
from study.command_line import run_script
from study.inputs.blimp_zorro import read_blimp, read_zorro
from study.paths import blimp_files, zorro_files

# Paradigms by benchmark; models with more work for each token get fewer.
PARADIGMS = {
    "blimp": ["adjunct_island", "tough_vs_raising_1", "superlative_quantifiers_1"],
    "zorro": ["agreement_determiner_noun-across_1_adjective", "agreement_subject_verb-in_simple_question"],
}
# How many paradigms, how many rounds, and how many times our time lm-eval is to take on BLiMP.
PLANS = {"pythia-14m": (3, 3, 3.0), "pythia-160m": (2, 1, 1.8), "olmo2-7b": (1, 3, None)}
BATCH_SIZES = {"cpu": (8, 16, 32, 64), "cuda": (32, 128, 512, 1024)}
N_SAMPLE = {"cpu": 128, "cuda": 4000}  # sentences with which batch sizes are tried


def main():
    """Time the scoring of minimal pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    side_by_side.add_arguments(parser, shapes=["pythia-14m", "pythia-160m"])
    parser.add_argument("--paradigms", choices=["few", "all"], default="few", help="(default: %(default)s)")
    parser.add_argument("--batch_size", type=int, default=256, help="of ours (default: %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = pick_device(args.device)
    benchmarks = read_benchmarks(args.data)
    if not benchmarks:
        return
    sentences = [" " + text for pairs in benchmarks.values() for text in pairs[["good", "bad"]].to_numpy().ravel()]
    tokenizer = side_by_side.train_byte_level_tokenizer(sentences)

    print(side_by_side.describe_machine(device))
    for name, pairs in benchmarks.items():
        print(f"{name}: {describe_pairs(pairs, tokenizer)}")
    for shape in args.model_shape:
        n_paradigms, n_times, wanted = PLANS[shape]
        model = side_by_side.make_random_model(shape, device, args.dtype)
        name, score = choose_batch_size(model, tokenizer, sentences)
        for benchmark, pairs in benchmarks.items():
            if args.paradigms == "few":
                pairs = pairs[pairs["paradigm"].isin(PARADIGMS[benchmark][:n_paradigms])].reset_index(drop=True)
            title = f"{shape}, {args.dtype}, {benchmark}: {describe_pairs(pairs, tokenizer)}"

            def score_ours(pairs, model=model):
                return score_pairs(pairs, model, tokenizer, args.batch_size, leading_space=True)

            functions = {f"ours, --batch_size {args.batch_size}": score_ours, name: score}
            score_ours(pairs.head(args.batch_size))  # warm, as lm-eval is
            ratio = compare(title, pairs, functions, args.n_times or n_times, wanted)
            wanted = ratio if benchmark == "blimp" else None  # more on Zorro than on BLiMP


def read_benchmarks(folder):
    """Return the pairs of the benchmarks that are in a folder, by name."""
    os.environ["LTBA_DIR"] = str(folder if folder.is_dir() else side_by_side.PUBLISHED.parent)
    benchmarks = {}
    for name, list_files, read in (("blimp", blimp_files, read_blimp), ("zorro", zorro_files, read_zorro)):
        if folder.is_dir() and list_files():
            benchmarks[name] = read()
        else:
            print(f"SKIPPED: {name} is not in the folder of published data (--data)")
    return benchmarks


def list_sentences(pairs):
    """Return the sentences of pairs with a space before each: good, bad, good, bad ..."""
    return (" " + pairs[["good", "bad"]]).to_numpy().ravel().tolist()


def describe_pairs(pairs, tokenizer):
    """Return the size of a part of a benchmark, and the number of tokens after each distinct beginning, in words."""
    token_ids = tokenizer(list_sentences(pairs))["input_ids"]
    beginnings = {tuple(ids[:n]) for ids in set(map(tuple, token_ids)) for n in range(len(ids))}
    n_tokens, n_paradigms = sum(map(len, token_ids)), pairs["paradigm"].nunique()
    return (
        f"{n_paradigms} paradigm{'s' if n_paradigms > 1 else ''}, {len(pairs)} pairs, {n_tokens} tokens, "
        f"{n_tokens / len(beginnings):.2f} after each distinct beginning"
    )


def make_lm_eval_scorer(model, tokenizer, batch_size):
    """Return a function from sentences to log-probabilities, as lm-eval's task BLiMP computes them."""
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    harness = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size)

    def score(sentences):
        requests = [Instance("loglikelihood", {}, ("", text), index) for index, text in enumerate(sentences)]
        return np.array([total for total, _ in harness.loglikelihood(requests, disable_tqdm=True)])

    return score


def choose_batch_size(model, tokenizer, sentences):
    """Return lm-eval with the batch size that is fastest on a sample: a name, and a function of pairs."""
    kind = model.device.type if model.device.type in BATCH_SIZES else "cpu"
    rng = np.random.default_rng(0)
    sample = [sentences[index] for index in rng.choice(len(sentences), N_SAMPLE[kind], replace=False)]
    seconds = {}
    for batch_size in BATCH_SIZES[kind]:
        score = make_lm_eval_scorer(model, tokenizer, batch_size)
        score(sample[:batch_size])
        started = time.perf_counter()
        score(sample)
        seconds[batch_size] = time.perf_counter() - started
    best = min(seconds, key=seconds.__getitem__)
    tried = ", ".join(f"{batch_size}: {duration:.2f} s" for batch_size, duration in seconds.items())
    print(f"lm-eval, {len(sample)} sentences by batch size: {tried}", flush=True)
    score = make_lm_eval_scorer(model, tokenizer, best)
    return f"lm-eval, batches of {best}", lambda pairs: score(list_sentences(pairs)).reshape(-1, 2)


def compare(title, pairs, functions, n_times, wanted):
    """Score the pairs with ours and lm-eval in turn, print times and differences, and return the ratio of times."""
    ours, lm_eval = functions
    seconds, scores = side_by_side.call_in_turn(
        {name: lambda score=score: score(pairs) for name, score in functions.items()}, n_times
    )
    side_by_side.print_times(title, seconds, {lm_eval: ("at least", wanted)} if wanted else None)
    own_scores = scores[ours][["logprob_good", "logprob_bad"]].to_numpy()
    is_identical = (pairs["good"] == pairs["bad"]).to_numpy()
    print(f"{lm_eval}: {describe_differences(own_scores, scores[lm_eval], is_identical)}", flush=True)
    return float(np.median(seconds[lm_eval]) / np.median(seconds[ours]))


def describe_differences(ours, theirs, is_identical):
    """Return in words how scores of (n_pairs, 2) sentences differ."""
    is_different = (ours[:, 0] > ours[:, 1]) != (theirs[:, 0] > theirs[:, 1])
    is_tie = is_identical | (ours[:, 0] == ours[:, 1]) | (theirs[:, 0] == theirs[:, 1])
    words = f"largest difference of a sum {np.abs(ours - theirs).max():.1e} nats; of {len(ours)} decisions "
    words += f"{np.sum(is_different & ~is_tie)} differ, and {np.sum(is_different & is_tie)} of exact ties"
    if (is_different & ~is_tie).any():
        margin = np.abs(ours[:, 0] - ours[:, 1])[is_different & ~is_tie].max()
        words += f" (the two sentences of those that differ are at most {margin:.1e} nats apart)"
    return words


if __name__ == "__main__":
    run_script(main)
