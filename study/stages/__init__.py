"""The work of each command after its arguments are parsed: read, compute, write."""

from pipeline.tasks.table import BENCHMARKS

STAGES = ("activations", "fit", *BENCHMARKS, "texts", "acceptability", "lm_eval")
