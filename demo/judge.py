"""Train a small judge of acceptability: a DeBERTa-v2 classifier of good and spoilt sentences."""

import random

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from tqdm import tqdm

from demo.language import NUMBERS, VERB_FORMS, speak, spell

N_STEPS = 1200
SENTENCES_PER_STEP = 64
LEARNING_RATE = 1e-3
SPECIAL_TOKENS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
OTHER_NUMBER = {
    forms[number]: forms[other_number]
    for kind in VERB_FORMS.values()
    for forms in kind
    for number, other_number in [NUMBERS, NUMBERS[::-1]]
}


def spoil(words, rng):
    """Make a sentence of the language ill-formed in one of a few ways; the full stop stays last."""
    *words, end = words
    place = rng.randrange(len(words))
    verbs = [k for k, word in enumerate(words) if word in OTHER_NUMBER]
    match rng.choice(["number", "number", "dropped", "exchanged", "shuffled"]):
        case "number" if verbs:  # a list has no verb
            # A verb always has a subject to agree with; a noun may have nothing that agrees with it.
            place = rng.choice(verbs)
            words[place] = OTHER_NUMBER[words[place]]
        case "dropped" if len(words) > 1:
            del words[place]
        case "exchanged" if place > 0:
            words[place - 1], words[place] = words[place], words[place - 1]
        case _:
            before = list(words)
            while words == before:
                rng.shuffle(words)
    return [*words, end]


def train_tokenizer(sentences):
    """Make a tokenizer of the whole words of the language; any other string is unknown."""
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation(behavior="isolated")]
    )
    tokenizer.train_from_iterator(sentences, trainers.WordLevelTrainer(special_tokens=SPECIAL_TOKENS))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(token, SPECIAL_TOKENS.index(token)) for token in ("[CLS]", "[SEP]")]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]"
    )


def train(folder, n_steps, seed):
    """Train the judge, and save it in a folder as ``save_pretrained`` writes it."""
    rng = random.Random(f"{seed} judge")

    def draw():
        return [word for word, _, _ in speak(rng)]

    tokenizer = train_tokenizer([spell(draw()) for _ in range(20_000)])
    torch.manual_seed(seed)
    model = transformers.DebertaV2ForSequenceClassification(
        transformers.DebertaV2Config(
            vocab_size=len(tokenizer),
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=128,
            max_position_embeddings=128,
            relative_attention=True,
            pos_att_type=["p2c", "c2p"],
            pad_token_id=0,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            id2label={0: "unacceptable", 1: "acceptable"},
            label2id={"unacceptable": 0, "acceptable": 1},
        )
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=n_steps)
    for _ in tqdm(range(n_steps), desc="training the judge", unit="step", position=1, disable=None):
        drawn = [draw() for _ in range(SENTENCES_PER_STEP // 2)]
        texts = [spell(words) for words in drawn] + [spell(spoil(words, rng)) for words in drawn]
        labels = torch.tensor([1] * len(drawn) + [0] * len(drawn))
        loss = model(**tokenizer(texts, padding=True, return_tensors="pt"), labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
