"""Bars on a terminal, lines now and then in a log."""

import io
import os
import pty
import re
import subprocess
import sys
import termios
import time

from helpers import ROOT

from study import progress


def test_a_log_gets_a_line_now_and_then(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.01)
    with progress.bar(40, "me_lm", "word") as bar:
        for _ in range(40):
            time.sleep(0.002)
            bar.update()
    lines = log.getvalue().splitlines()
    assert 2 <= len(lines) < 20
    for line in lines:
        assert re.fullmatch(r"me_lm: \d+ % of 40 words, (\?|\d\d:\d\d) left", line)
    assert lines[-1].startswith("me_lm: 100 %")


def test_a_log_gets_the_last_line_once(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.001)
    with progress.bar(3, "me_lm", "word") as bar:
        for _ in range(3):
            time.sleep(0.01)
            bar.update()
    assert log.getvalue().count("100 %") == 1


def test_what_is_quick_says_nothing_in_a_log(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    with progress.bar(2, "me_lm", "word") as bar:
        bar.update(2)
    assert log.getvalue() == ""


def test_a_terminal_gets_a_bar():
    program = "from study import progress\nwith progress.bar(2, 'me_lm', 'word') as bar:\n    bar.update(2)"
    screen, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, stderr=terminal, check=True)
    os.close(terminal)
    shown = os.read(screen, 10_000).decode()
    assert "me_lm: 100%" in shown and "2/2" in shown
