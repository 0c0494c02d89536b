"""The measurements of speed: their order, their ratios, and whether a limit is met. Nothing is timed here."""

import subprocess

import pytest

from speed import side_by_side, whole_study


def test_implementations_take_turns():
    called = []
    seconds, values = side_by_side.call_in_turn(
        {name: lambda name=name: called.append(name) or name.upper() for name in ("ours", "slow", "theirs")},
        2,
        warm_up=True,
        only_once=["slow"],
    )
    assert called == ["ours", "slow", "theirs", "ours", "slow", "theirs", "ours", "theirs"]
    assert {name: len(durations) for name, durations in seconds.items()} == {"ours": 2, "slow": 1, "theirs": 2}
    assert values == {"ours": "OURS", "slow": "SLOW", "theirs": "THEIRS"}


@pytest.mark.parametrize(
    ("wanted", "printed", "is_met"),
    [
        ({"theirs": ("at least", 3)}, "4.00 x, wanted at least 3 x: met", True),
        ({"theirs": ("at least", 5)}, "4.00 x, wanted at least 5 x: missed", False),
        ({"bare": ("at most", 1.3)}, "1.25 x, wanted at most 1.3 x: met", True),
        ({"bare": ("at most", 1.15)}, "1.25 x, wanted at most 1.15 x: missed", False),
    ],
)
def test_limits_are_of_medians(capsys, wanted, printed, is_met):
    seconds = {"ours": [1.0, 9.0, 1.0], "theirs": [4.0, 4.0, 0.1], "bare": [0.8]}
    assert side_by_side.print_times("A stage", seconds, wanted) == is_met
    assert printed in capsys.readouterr().out


def test_stages_of_the_same_name_are_not_added_up(monkeypatch, tmp_path):
    start = subprocess.Popen
    lines = "printf '%s\\n' 'fit of X' '== fit' '== notebook' '== fit'"
    monkeypatch.setattr(subprocess, "Popen", lambda _, **options: start(["bash", "-c", lines], **options))
    stages = whole_study.time_stages(tmp_path)
    assert [stage for stage, _ in stages] == ["fit", "notebook", "fit"]
    assert all(seconds >= 0 for _, seconds in stages)
