"""Share what tests of weights need."""

import hashlib
import json

from study.records import record_path

OLD, NEW = "1" * 40, "2" * 40


NAME, REVISION, STEM = "somebody/lm", "step1000", "somebody_lm_step1000"


def plain_sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def record_of(path):
    return json.loads(record_path(path).read_text())
