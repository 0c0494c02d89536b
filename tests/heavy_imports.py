"""Import what the scripts import once their arguments are parsed, so that forks of this process need not."""

import importlib

MODULES = [f"study.stages.{name}" for name in ("extraction", "fit", "minimal_pairs", "texts", "acceptability")]
MODULES += ["pipeline.tasks.arithmetic", "pipeline.tasks.dyck", "study.inputs.blimp_zorro"]
MODULES += ["report.check", "report.overview", "report.page", "report.todo"]
# What Transformers imports when it is used.
CLASSES = ["AutoModelForCausalLM", "AutoModelForSequenceClassification", "DebertaV2ForSequenceClassification"]
CLASSES += ["GPTNeoXForCausalLM", "Olmo2ForCausalLM", "PreTrainedTokenizerFast"]


def import_all():
    """Import the modules and the classes of Transformers."""
    for name in MODULES:
        importlib.import_module(name)
    transformers = importlib.import_module("transformers")
    for name in CLASSES:
        getattr(transformers, name)
