"""Train a small language model of the Pythia architecture, and save its checkpoints."""

import random

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from tqdm import tqdm

from demo.language import speak, spell

CONTEXT_TOKENS = 64
SEQUENCES_PER_STEP = 16
LEARNING_RATE = 3e-3
WARMUP_STEPS = 20
END_OF_TEXT = "<|endoftext|>"
# A sentence has nine tokens on average, so that a step of 16 x 64 tokens reads 112 sentences.
SENTENCES_PER_STEP = 112.305
N_TOKENIZER_SENTENCES = 20_000


def make_corpus(n_sentences, seed):
    """Make sentences of the small language, a list of str."""
    rng = random.Random(seed)
    return [spell([word for word, _, _ in speak(rng)]) for _ in range(n_sentences)]


def train_tokenizer(sentences):
    """Train a byte-level BPE tokenizer as Pythia's, which adds no special token by itself."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1024,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences, trainer)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=END_OF_TEXT, eos_token=END_OF_TEXT, unk_token=END_OF_TEXT
    )


def train(folder, n_steps, seed):
    """Train a model and save it at steps 0, 1, 2, 4 ... n_steps.

    Parameters
    ----------
    folder : Path
        A sub-folder ``step{step}-tokens{tokens}`` for each checkpoint is made in it, as
        ``save_pretrained`` writes it, tokenizer included.
    n_steps : int
        A power of 2.
    seed : int
    """
    transformers.utils.logging.disable_progress_bar()
    sentences = make_corpus(max(N_TOKENIZER_SENTENCES, int(SENTENCES_PER_STEP * n_steps)), seed)
    tokenizer = train_tokenizer(sentences[:N_TOKENIZER_SENTENCES])
    ids = torch.tensor(tokenizer(" ".join(sentences), verbose=False)["input_ids"])
    sequences = ids[: len(ids) // CONTEXT_TOKENS * CONTEXT_TOKENS].reshape(-1, CONTEXT_TOKENS)

    torch.manual_seed(seed)
    model = transformers.GPTNeoXForCausalLM(
        transformers.GPTNeoXConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            intermediate_size=256,
            max_position_embeddings=CONTEXT_TOKENS,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.95), weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, (step + 1) / WARMUP_STEPS))
    order = torch.randperm(len(sequences))
    for step in tqdm(range(n_steps + 1), desc="training the language model", unit="step", disable=None):
        if step & (step - 1) == 0:  # 0 and the powers of 2
            checkpoint = folder / f"step{step}-tokens{step * SEQUENCES_PER_STEP * CONTEXT_TOKENS}"
            model.save_pretrained(checkpoint)
            tokenizer.save_pretrained(checkpoint)
        if step == n_steps:
            break
        first = step * SEQUENCES_PER_STEP
        batch = sequences[order[torch.arange(first, first + SEQUENCES_PER_STEP) % len(order)]]  # (16, 64)
        loss = model(input_ids=batch, labels=batch).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
