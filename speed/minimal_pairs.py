"""Time log-probabilities of minimal pairs against lm-eval, or against plain batches.

    python -m speed.minimal_pairs
    python -m speed.minimal_pairs --device cuda --model_shape olmo2-7b --dtype bfloat16 --details --data FOLDER

``minimal_pairs.score_pairs`` scores both sentences of every pair of some paradigms of BLiMP and of Zorro. In turn,
lm-eval does the same by ``HFLM.loglikelihood``, with the requests of its task BLiMP: no context, and the whole
sentence, with the space before it, as the continuation. Where lm-eval is not installed, a plain loop takes its place:
padded batches, the longest sentences first, and the logits of all tokens.

Both have the batch size with which they are fastest on a sample of the same sentences. Ours has the default of the
scripts (--batch_size). Wanted on BLiMP: lm-eval takes at least 3 x our time with a model of the shape of Pythia-14M,
and at least 1.8 x with the shape of Pythia-160M, whose every token costs more next to the output vocabulary of 50,304;
on a GPU, at least 2 x with the shapes of Pythia-160M and OLMo-2 7B. Wanted on Zorro, whose sentences share their
beginnings more often: more than on BLiMP. By default, one thread of the CPU, or all cores where there is a GPU
(--threads), and one more thread that prepares batches.

The models have random weights. The tokenizer is trained on both benchmarks, so that nearly every word is one token, as
with Pythia's. How much can be shared depends on how often sentences begin with the same words. So whole paradigms are
taken: a few that are typical of the whole benchmark in length and in shared beginnings, and fewer for the larger
models. On a GPU, Pythia-160M's shape reads all of them. --paradigms all takes every paradigm. With Pythia-14M's shape,
that takes 17 minutes on a CPU. The number of pairs and the number of different decisions are printed. --details prints
where the time goes, and the decisions of other batch sizes. A benchmark that is not in the folder of published data
(--data) is skipped. Takes about twenty minutes on a CPU.
"""

import argparse
import importlib.util
import os
import time

import numpy as np
import torch

from pipeline.errors import is_out_of_memory
from pipeline.models.devices import pick_device
from pipeline.models.tokenization import encode_after_bos
from pipeline.tasks.minimal_pairs import score_pairs
from speed import pair_details, side_by_side
from study.command_line import number_or_auto, run_script
from study.inputs.blimp_zorro import read_blimp, read_zorro
from study.paths import blimp_files, zorro_files

# Paradigms by benchmark; models with more work for each token get fewer.
PARADIGMS = {
    "blimp": ["adjunct_island", "tough_vs_raising_1", "superlative_quantifiers_1", "wh_island"],
    "zorro": ["agreement_determiner_noun-across_1_adjective", "agreement_subject_verb-in_simple_question"],
}
# How many paradigms (None: all), how many rounds, and how many times our time the peer is to take on BLiMP.
PLANS: dict[str, dict[str, tuple]] = {
    "cpu": {"pythia-14m": (3, 3, 3.0), "pythia-160m": (2, 1, 1.8), "olmo2-7b": (1, 1, None)},
    "cuda": {"pythia-14m": (None, 3, None), "pythia-160m": (None, 1, 2.0), "olmo2-7b": (4, 2, 2.0)},
}
BATCH_SIZES = {"cpu": (8, 16, 32, 64), "cuda": (128, 512, 1024)}
N_SAMPLE = {"cpu": 128, "cuda": 4000}  # sentences with which batch sizes are tried
COMPARED = (64, 512, 1024, 4096)  # batch sizes of ours whose decisions --details compares with the default's


def main():
    """Time the scoring of minimal pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    side_by_side.add_arguments(parser, shapes=["pythia-14m", "pythia-160m"])
    parser.add_argument("--paradigms", choices=["few", "all"], default="few", help="(default: %(default)s)")
    parser.add_argument("--batch_size", type=number_or_auto, help="of ours (default: auto, as of the scripts)")
    parser.add_argument("--details", action="store_true", help="print steps, and decisions of other batch sizes")
    parser.set_defaults(threads=None)
    args = parser.parse_args()
    device = pick_device(args.device)
    torch.set_num_threads(args.threads or (1 if device.type == "cpu" else side_by_side.count_cores()))
    benchmarks = read_benchmarks(args.data)
    if not benchmarks:
        return
    sentences = [" " + text for pairs in benchmarks.values() for text in pairs[["good", "bad"]].to_numpy().ravel()]
    tokenizer = side_by_side.train_byte_level_tokenizer(sentences)

    print(side_by_side.describe_machine(device))
    for name, pairs in benchmarks.items():
        print(f"{name}: {describe_pairs(pairs, tokenizer)}")
    for shape in args.model_shape:
        kind = device.type if device.type in PLANS else "cpu"
        n_paradigms, n_times, wanted = PLANS[kind][shape]
        model = side_by_side.make_random_model(shape, device, args.dtype)
        name, score = choose_batch_size(model, tokenizer, sentences)
        for benchmark, pairs in benchmarks.items():
            if args.paradigms == "few" and n_paradigms:
                pairs = pairs[pairs["paradigm"].isin(PARADIGMS[benchmark][:n_paradigms])].reset_index(drop=True)
            title = f"{shape}, {args.dtype}, {benchmark}: {describe_pairs(pairs, tokenizer)}"
            measures: dict[str, int] = {}

            def score_ours(pairs, model=model, measures=measures):
                options = {"leading_space": True, "measure": measures.update}
                return score_pairs(pairs, model, tokenizer, args.batch_size, **options)

            functions = {f"ours, --batch_size {args.batch_size or 'auto'}": score_ours, name: score}
            score_ours(pairs.head(N_SAMPLE[kind] // 2))  # warm, with full batches, as the peer is
            ratio, scored = compare(title, pairs, functions, args.n_times or n_times, wanted)
            print(f"ours: {measures}", flush=True)
            wanted = ratio if benchmark == "blimp" else None  # more on Zorro than on BLiMP
            if args.details:
                distinct = list(dict.fromkeys(list_sentences(pairs)))
                pair_details.print_steps(distinct, model, tokenizer, measures["batch_size"])
                pair_details.print_decisions(pairs, model, tokenizer, COMPARED, scored)
                pair_details.print_passes(pairs, model, tokenizer, args.batch_size)
                pair_details.print_row_widths(distinct[: measures["batch_size"]], model, tokenizer)
                pair_details.print_fixed_shape(distinct, model, tokenizer)
                pair_details.print_output_layer(model)
        del model, score


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


def make_plain_scorer(model, tokenizer, batch_size):
    """Return a function from sentences to log-probabilities in padded batches, the longest sentences first."""

    @torch.inference_mode()
    def score(sentences):
        token_ids = encode_after_bos(sentences, model, tokenizer)
        order, scores = (
            sorted(range(len(token_ids)), key=lambda index: -len(token_ids[index])),
            np.zeros(len(token_ids)),
        )
        for first in range(0, len(order), batch_size):
            batch = order[first : first + batch_size]
            longest = len(token_ids[batch[0]])
            ids = torch.tensor([token_ids[index] + [0] * (longest - len(token_ids[index])) for index in batch])
            lengths = torch.tensor([len(token_ids[index]) for index in batch])
            is_token = (torch.arange(longest) < lengths[:, None]).to(model.device)
            ids = ids.to(model.device)
            logits = model(input_ids=ids, attention_mask=is_token.long(), use_cache=False).logits[:, :-1]
            followers = ids[:, 1:].flatten()
            terms = -torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), followers, reduction="none")
            terms = terms.view(len(batch), -1).masked_fill(~is_token[:, 1:], 0)
            scores[batch] = terms.double().sum(dim=1).cpu().numpy()
        return scores

    return score


def choose_batch_size(model, tokenizer, sentences):
    """Return the peer, with the batch size that is fastest on a sample: a name, and a function of pairs."""
    kind = model.device.type if model.device.type in BATCH_SIZES else "cpu"
    rng = np.random.default_rng(0)
    sample = [sentences[index] for index in rng.choice(len(sentences), N_SAMPLE[kind], replace=False)]
    peer, make_scorer = "plain", make_plain_scorer
    if importlib.util.find_spec("lm_eval"):
        peer, make_scorer = "lm-eval", importlib.import_module("speed.lm_eval_scorer").make_lm_eval_scorer
    seconds = {}
    for batch_size in BATCH_SIZES[kind]:
        score = make_scorer(model, tokenizer, batch_size)
        try:
            score(sample[:batch_size])
            side_by_side.wait_for_device()
            started = time.perf_counter()
            score(sample)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            print(f"{peer}, batches of {batch_size}: out of memory")
            continue
        seconds[batch_size] = time.perf_counter() - started
    best = min(seconds, key=seconds.__getitem__)
    tried = ", ".join(f"{batch_size}: {duration:.2f} s" for batch_size, duration in seconds.items())
    print(f"{peer}, {len(sample)} sentences by batch size: {tried}", flush=True)
    score = make_scorer(model, tokenizer, best)
    return f"{peer}, batches of {best}", lambda pairs: score(list_sentences(pairs)).reshape(-1, 2)


def compare(title, pairs, functions, n_times, wanted):
    """Score the pairs in turn, print times and differences, and return the ratio of times, and our scores."""
    ours, peer = functions
    seconds, scores = side_by_side.call_in_turn(
        {name: lambda score=score: score(pairs) for name, score in functions.items()}, n_times
    )
    side_by_side.print_times(title, seconds, {peer: ("at least", wanted)} if wanted else None)
    own_scores = scores[ours][["logprob_good", "logprob_bad"]].to_numpy()
    is_identical = (pairs["good"] == pairs["bad"]).to_numpy()
    print(f"{peer}: {describe_differences(own_scores, scores[peer], is_identical)}", flush=True)
    return float(np.median(seconds[peer]) / np.median(seconds[ours])), scores[ours]


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
