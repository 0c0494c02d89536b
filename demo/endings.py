"""Write tasks for the lm_eval command, in its own format.

small_endings: which of four endings goes with a beginning? Every item is a sentence of the small language that is cut
in the middle. One ending is its own. The wrong endings come from further sentences, and begin with a word of another
category.

counting: minimal pairs. A list of nouns has the right or a wrong number word.
"""

import json
import random
from pathlib import Path

from demo import pairs
from demo.language import speak

FEWEST_WORDS = 6
N_ENDINGS = 4

YAML = """\
task: {task}
dataset_path: json
dataset_kwargs:
  data_files:
    validation: {data}
validation_split: validation
output_type: multiple_choice
target_delimiter: "{delimiter}"
doc_to_text: "{{{{beginning}}}}"
doc_to_target: "{{{{right}}}}"
doc_to_choice: "{{{{endings}}}}"
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
"""
# A score per byte is fair to endings of different lengths. In a minimal pair, it would favour a long number word.
ACC_NORM = """\
  - metric: acc_norm
    aggregation: mean
    higher_is_better: true
"""


def cut_sentence(rng):
    """Speak a sentence and cut it in two: (beginning, ending, category of the ending's first word)."""
    while len(words := speak(rng, list_share=0)) < FEWEST_WORDS:
        pass
    middle = len(words) // 2
    spoken = [word for word, _, _ in words[:-1]]
    return " ".join(spoken[:middle]).capitalize(), " ".join(spoken[middle:]) + ".", words[middle][1]


def make_item(rng):
    """Make an item: a dict of beginning, endings, and the number of the right ending."""
    beginning, own, category = cut_sentence(rng)
    endings = [own]
    while len(endings) < N_ENDINGS:
        _, ending, wrong_category = cut_sentence(rng)
        if wrong_category != category and ending not in endings:
            endings.append(ending)
    rng.shuffle(endings)
    return {"beginning": beginning, "endings": endings, "right": endings.index(own)}


def write_tasks(folder, n_items, seed):
    """Write small_endings and counting: a ``.yaml`` and a ``.jsonl`` of n_items each."""
    rng = random.Random(f"{seed} small_endings")
    write_task(folder, "small_endings", [make_item(rng) for _ in range(n_items)], YAML + ACC_NORM, delimiter=" ")
    rng = random.Random(f"{seed} counting order")
    items = []
    for good, bad in pairs.make_distinct_pairs("counting", n_items, seed):
        right = rng.randrange(2)
        items.append({"beginning": "", "endings": [bad, good] if right else [good, bad], "right": right})
    write_task(folder, "counting", items, YAML, delimiter="")


def write_task(folder, task, items, yaml, delimiter):
    """Write ``{task}.yaml`` and ``{task}.jsonl``; the delimiter stands between beginning and ending."""
    folder.mkdir(parents=True, exist_ok=True)
    data = Path(folder, f"{task}.jsonl").resolve()
    data.write_text("".join(json.dumps(item) + "\n" for item in items))
    Path(folder, f"{task}.yaml").write_text(yaml.format(task=task, data=data, delimiter=delimiter))
