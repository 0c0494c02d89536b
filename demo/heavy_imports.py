"""Import what the scripts import once their arguments are parsed, so that forks of this process start at once."""

import importlib

from study.program import find_source_files, read_git_commit
from study.records import read_versions

STAGES = ("extraction", "fit", "minimal_pairs", "texts", "acceptability", "baselines")
MODULES = [f"study.stages.{name}" for name in STAGES]
MODULES += ["pipeline.tasks.arithmetic", "pipeline.tasks.dyck", "study.inputs.blimp_zorro"]
MODULES += ["report.check", "report.overview", "report.page", "report.todo"]
# What Transformers imports when it is used.
CLASSES = ["AutoModelForCausalLM", "AutoModelForSequenceClassification", "DebertaV2ForSequenceClassification"]
CLASSES += ["GPTNeoXForCausalLM", "Olmo2ForCausalLM", "PreTrainedTokenizerFast"]


def import_all():
    """Import the modules and the classes of Transformers, and read the provenance of the scripts."""
    for name in MODULES:
        importlib.import_module(name)
    transformers = importlib.import_module("transformers")
    for name in CLASSES:
        getattr(transformers, name)
    read_provenance()


def read_provenance(modules=MODULES):
    """Read what every process of the scripts reads once: versions, commit, source files."""
    read_versions()
    read_git_commit()
    for name in modules:
        find_source_files(name)
