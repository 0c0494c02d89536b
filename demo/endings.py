"""Write a task for the lm_eval command, in its own format: which of four endings goes with a beginning?

Every item is a sentence of the small language that is cut in the middle. One ending is its own. The
wrong endings come from further sentences, and begin with a word of another category.
"""

import json
import random
from pathlib import Path

from demo.language import speak

TASK = "small_endings"
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
doc_to_text: "{{{{beginning}}}}"
doc_to_target: "{{{{right}}}}"
doc_to_choice: "{{{{endings}}}}"
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
  - metric: acc_norm
    aggregation: mean
    higher_is_better: true
"""


def cut_sentence(rng):
    """Speak a sentence and cut it in two: (beginning, ending, category of the ending's first word)."""
    while len(words := speak(rng)) < FEWEST_WORDS:
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


def write_task(folder, n_items, seed):
    """Write ``small_endings.yaml`` and ``small_endings.jsonl``."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, data = random.Random(f"{seed} {TASK}"), Path(folder, f"{TASK}.jsonl").resolve()
    data.write_text("".join(json.dumps(make_item(rng)) + "\n" for _ in range(n_items)))
    Path(folder, f"{TASK}.yaml").write_text(YAML.format(task=TASK, data=data))
