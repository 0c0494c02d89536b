"""A command that makes two files from three cached parts: the smallest job, for tests that kill it at every step."""

import numpy as np

from study.files.safe_joblib import write_arrays
from study.jobs import Job
from study.paths import study_folder


def main():
    """Make outputs/first.gz and outputs/last.gz, from input.txt."""
    folder = study_folder()
    outputs = [folder / "outputs" / name for name in ("first.gz", "last.gz")]
    value = float((folder / "input.txt").read_text())
    with Job(outputs[-1], {"n_parts": 3}, modules=["study.jobs"], inputs=[folder / "input.txt"]) as job:
        if job.is_finished:
            return
        parts = [job.cached(f"part-{k}", lambda k=k: {"values": np.full(3, value + k)})["values"] for k in range(3)]
        writers = {path: lambda path: write_arrays(path, np.stack(parts)) for path in outputs}
        job.finish(writers, replaces=[folder / "outputs" / "old.gz"])
    print("3 parts")
