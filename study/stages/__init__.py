"""Do the work of each command after its arguments are parsed: read, compute, write."""

from pipeline.tasks.table import BENCHMARKS

SCRIPTS = {
    "activations": "extract_llm_activations.py",
    "fit": "fit_average_subject.py",
    **{name: benchmark.script for name, benchmark in BENCHMARKS.items()},
    "texts": "generate_texts.py",
    "acceptability": "evaluate_linguistic_acceptability.py",
}
# In an order in which they can be run. The stage lm_eval runs the command of the same name.
STAGES = (*SCRIPTS, "lm_eval")
PER_STORY = ("activations", "fit")  # with an output for every language of the story
