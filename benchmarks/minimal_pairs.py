"""Log-probabilities of minimal pairs against lm-eval and minicons.

    python -m benchmarks.minimal_pairs
    python -m benchmarks.minimal_pairs --model_shape olmo2-7b --dtype bfloat16 --device cuda --paradigms all

``minimal_pairs.score_pairs`` scores both sentences of every pair of some paradigms of BLiMP and of Zorro,
and so do, in turn,

    lm-eval   ``HFLM.loglikelihood``, with the requests that its task BLiMP makes: no context, and the
              whole sentence, with the space before it, as the continuation
    minicons  ``IncrementalLMScorer.sequence_score`` with BOS, summed over tokens; the sentences are given
              longest first, so that little is padded. It is timed once

each with the batch size with which it is fastest on a sample of the same sentences, and ours with 256
(--batch_size; with 64, the scripts' own, it takes a tenth more with the smallest model). Wanted on BLiMP:
lm-eval takes at least 3 x our time with a model of the shape of Pythia-14M, and at least 1.8 x with one of
Pythia-160M, whose every token costs more beside the output vocabulary of 50,304; on Zorro, whose sentences
begin alike more often, more than on BLiMP. One thread (--threads).

The models have random weights. The tokenizer is trained on both benchmarks, so that nearly every word is
one token, as with Pythia's. How often sentences begin alike decides what can be shared, so whole
paradigms are taken: a few whose sentences together begin alike as often, and are as long, as in the
whole benchmark, and fewer for the larger models. --paradigms all takes every one, and leaves minicons
out: with Pythia-14M's shape, that takes 17 minutes. What was taken is printed, and whether all decisions
are the same. A benchmark that is not in the folder of published data (--data) is skipped.
Takes some twenty minutes.
"""

import argparse
import logging
import os
import time
import warnings

import numpy as np
import torch

from benchmarks import side_by_side
from pipeline.models.loading import pick_device
from pipeline.tasks.minimal_pairs import score_pairs
from study.command_line import run_script
from study.inputs.blimp_zorro import read_blimp, read_zorro
from study.paths import blimp_files, zorro_files

PEERS = ["lm-eval", "minicons"]
# Paradigms by benchmark; models of which a token costs more get fewer.
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
    tokenizer = side_by_side.byte_level_tokenizer(sentences)

    print(side_by_side.machine(device))
    for name, pairs in benchmarks.items():
        print(f"{name}: {told(pairs, tokenizer)}")
    for shape in args.model_shape:
        n_paradigms, n_times, wanted = PLANS[shape]
        model = side_by_side.random_model(shape, device, args.dtype)
        peers = best_peers(model, tokenizer, sentences, PEERS if args.paradigms == "few" else PEERS[:1])
        of_blimp = None
        for name, pairs in benchmarks.items():
            if args.paradigms == "few":
                pairs = pairs[pairs["paradigm"].isin(PARADIGMS[name][:n_paradigms])].reset_index(drop=True)
            title = f"{shape}, {args.dtype}, {name}: {told(pairs, tokenizer)}"
            if name == "zorro" and of_blimp:
                wanted = of_blimp
            ratio = compare(title, pairs, model, tokenizer, peers, args, args.n_times or n_times, wanted)
            of_blimp = ratio if name == "blimp" else None


def read_benchmarks(folder):
    """The pairs of the benchmarks that are in a folder, by name."""
    os.environ["LTBA_DIR"] = str(folder if folder.is_dir() else side_by_side.PUBLISHED.parent)
    found = {}
    for name, paths, read in (
        ("blimp", blimp_files, read_blimp),
        ("zorro", zorro_files, read_zorro),
    ):
        if folder.is_dir() and paths():
            found[name] = read()
        else:
            print(f"SKIPPED: {name} is not in the folder of published data (--data)")
    return found


def told(pairs, tokenizer):
    """How much there is of a benchmark, and how many tokens stand after the same tokens as others do."""
    texts = (" " + pairs[["good", "bad"]]).to_numpy().ravel().tolist()
    tokens_of = tokenizer(texts)["input_ids"]
    before = {tuple(tokens[:n]) for tokens in set(map(tuple, tokens_of)) for n in range(len(tokens))}
    n_tokens, n_paradigms = sum(map(len, tokens_of)), pairs["paradigm"].nunique()
    return (
        f"{n_paradigms} paradigm{'s' * (n_paradigms > 1)}, {len(pairs)} pairs, {n_tokens} tokens, "
        f"{n_tokens / len(before):.2f} after each distinct beginning"
    )


# ---------------------------------------------------------------- the peers


def lm_eval_scorer(model, tokenizer, batch_size):
    """A function from sentences to log-probabilities, as lm-eval's task BLiMP has them computed."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    harness = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size)

    def score(sentences):
        requests = [Instance("loglikelihood", {}, ("", text), index) for index, text in enumerate(sentences)]
        return np.array([total for total, _ in harness.loglikelihood(requests, disable_tqdm=True)])

    return score


def minicons_scorer(model, tokenizer, batch_size):
    """A function from sentences to log-probabilities, as minicons computes them."""
    from minicons import scorer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        incremental = scorer.IncrementalLMScorer(model, device=str(model.device), tokenizer=tokenizer)

    def score(sentences):
        scores = np.empty(len(sentences))
        by_length = sorted(range(len(sentences)), key=lambda index: -len(sentences[index]))
        for first in range(0, len(by_length), batch_size):
            batch = by_length[first : first + batch_size]
            texts = [sentences[index] for index in batch]
            scores[batch] = incremental.sequence_score(
                texts, reduction=lambda of_tokens: of_tokens.sum().item(), bos_token=True
            )
        return scores

    return score


def best_peers(model, tokenizer, sentences, names):
    """Each peer with the batch size that is fastest on a sample: dict of name to function."""
    kind = model.device.type if model.device.type in BATCH_SIZES else "cpu"
    rng = np.random.default_rng(0)
    sample = [sentences[index] for index in rng.choice(len(sentences), N_SAMPLE[kind], replace=False)]
    peers = {}
    for name, make in zip(names, (lm_eval_scorer, minicons_scorer), strict=False):
        seconds = {}
        for batch_size in BATCH_SIZES[kind]:
            score = make(model, tokenizer, batch_size)
            score(sample[:batch_size])
            started = time.perf_counter()
            score(sample)
            seconds[batch_size] = time.perf_counter() - started
        best = min(seconds, key=seconds.__getitem__)
        tried = ", ".join(f"{batch_size}: {of_size:.2f} s" for batch_size, of_size in seconds.items())
        print(f"{name}, {len(sample)} sentences by batch size: {tried}", flush=True)
        peers[f"{name}, batches of {best}"] = make(model, tokenizer, best)
    return peers


# ---------------------------------------------------------------- the comparison


def compare(title, pairs, model, tokenizer, peers, args, n_times, wanted):
    """Score the pairs with ours and the peers in turn; print times and differences; lm-eval's ratio."""
    texts = (" " + pairs[["good", "bad"]]).to_numpy().ravel().tolist()  # good, bad, good, bad ...

    def ours():
        scored = score_pairs(pairs, model, tokenizer, args.batch_size, leading_space=True)
        return scored[["logprob_good", "logprob_bad"]].to_numpy()

    functions = {f"ours, --batch_size {args.batch_size}": ours}
    functions |= {name: lambda score=score: score(texts).reshape(-1, 2) for name, score in peers.items()}
    us, lm_eval, *others = functions
    score_pairs(pairs.head(args.batch_size), model, tokenizer, args.batch_size)  # warm, as the peers are
    seconds, scores = side_by_side.alternately(functions, n_times, only_once=others)
    side_by_side.times_table(title, seconds, {lm_eval: ("at least", wanted)} if wanted else None)
    identical = (pairs["good"] == pairs["bad"]).to_numpy()
    for name in peers:
        print(f"{name}: {differences(scores[us], scores[name], identical)}", flush=True)
    return float(np.median(seconds[lm_eval]) / np.median(seconds[us]))


def differences(ours, theirs, identical):
    """How scores of (n_pairs, 2) sentences differ, in words."""
    other = (ours[:, 0] > ours[:, 1]) != (theirs[:, 0] > theirs[:, 1])
    tied = identical | (ours[:, 0] == ours[:, 1]) | (theirs[:, 0] == theirs[:, 1])
    said = f"largest difference of a sum {np.abs(ours - theirs).max():.1e} nats; of {len(ours)} decisions "
    said += f"{np.sum(other & ~tied)} differ, and {np.sum(other & tied)} of exact ties"
    if (other & ~tied).any():
        margin = np.abs(ours[:, 0] - ours[:, 1])[other & ~tied].max()
        said += f" (the two sentences of those that differ are at most {margin:.1e} nats apart)"
    return said


if __name__ == "__main__":
    run_script(main)
