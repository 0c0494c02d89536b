"""Parse the options that the scripts share, and end a script in one line."""

import argparse
import contextlib
import os
import re
import select
import signal
import sys
from pathlib import Path

from pipeline.errors import InputError, is_out_of_memory
from pipeline.words.languages import LANGUAGES


def make_benchmark_parser(doc):
    """Return a parser of the options that all evaluate_llm_*.py share."""
    parser = ArgumentParser(doc)
    add_checkpoint_arguments(parser)
    add = parser.add_argument
    add("--batch_size", type=number_or_auto, help="sentences at once, or auto: what the memory holds (default: auto)")
    add("--output_folder", type=Path, help="where the results go (default: {benchmark}_results in the study folder)")
    add("--limit", type=whole_number, metavar="N", help="for trials: only the first N pairs of each paradigm")
    add("--leading_space", action="store_true", help="put a space before each sentence, as lm-eval's BLiMP does")
    add("--no_bos", action="store_true", help="read sentences without BOS: each sum begins with the second token")
    add("--mean", action="store_true", help="score a sentence by the mean over its tokens instead of the sum")
    return parser


def checkpoint_name(text):
    """Return the name of a model, which becomes part of file names."""
    if not text.strip() or not text.isprintable():
        raise argparse.ArgumentTypeError(f"expected a name, got {text!r}")
    return text


def revision_name(text):
    """Return the name of a revision, which must be a sub-folder of a local model."""
    text = checkpoint_name(text)
    if text.startswith("/") or ".." in Path(text).parts:
        raise argparse.ArgumentTypeError(f"{text} leads out of the model's folder")
    return text.strip("/")


class ArgumentParser(argparse.ArgumentParser):
    """Parse options, and report a mistake in one line."""

    def __init__(self, doc):
        super().__init__(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)

    def error(self, message):
        """Print a mistake and end with status 2."""
        if message.startswith("argument --lang:"):
            message += "; CONTRIBUTING.md explains how to add a language"
        self.exit(2, f"{self.prog}: {message} ({self.prog} --help shows all options)\n")


def add_checkpoint_arguments(parser):
    """Add the options of every script that loads a checkpoint."""
    add, dtypes = parser.add_argument, ["float32", "bfloat16", "float16"]
    add("--model", type=checkpoint_name, required=True, help="name on the Hugging Face hub, or local folder")
    add("--revision", type=revision_name, help="branch, tag or commit on the hub, or sub-folder of the local folder")
    add_device_arguments(parser)
    add("--dtype", choices=dtypes, default="float32", help="in which the model computes (default: float32)")
    add("--overwrite", action="store_true", help="make the output again if it exists")


def add_device_arguments(parser):
    """Add the options of every script that computes on a device."""
    threads_help = "cores of the CPU to use, where several jobs share them (default: all)"
    parser.add_argument(
        "--device", default="auto", help="auto (CUDA if it is available), cpu, cuda, cuda:1 ... (default: %(default)s)"
    )
    parser.add_argument("--threads", type=whole_number, help=threads_help)


def whole_number(text):
    """Return a whole number of 1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def number_or_auto(text):
    """Return a whole number of 1 or more, or None for ``auto``."""
    return None if text == "auto" else whole_number(text)


def story_name(text):
    """Return the name of a story table: file names have it in the place of a language of Le Petit Prince."""
    is_ambiguous = any(text == lang or text.endswith(f"_{lang}") for lang in LANGUAGES)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", text) or is_ambiguous:
        endings = ", ".join(f"_{lang}" for lang in LANGUAGES)
        raise argparse.ArgumentTypeError(
            f"expected letters, digits, - and _, without {endings} at its end, got {text!r}"
        )
    return text


def context_size(text):
    """Return the context of a unit: ``group``, ``none``, or a number of tokens (int)."""
    if text in ("group", "none"):
        return text
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected group, none, or a number of tokens of 1 or more, got {text!r}")
    return int(text)


def seed_number(text):
    """Return the seed of random numbers, a whole number of 0 or more."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than 0")
    return number


def run_script(main):
    """Run the ``main`` of a script: an InputError ends it with one line on standard error and status 2."""
    handle_signals(stop)
    try:
        try:
            main()
        finally:
            sys.stdout.flush()  # now, where a reader that is gone can be handled
        if getattr(sys.modules["__main__"], "main", None) is main:  # Python is about to end
            handle_signals(signal.SIG_IGN)  # the work is done
    except Exception as error:
        if isinstance(error, BrokenPipeError) and is_reader_gone():
            sys.exit(128 + signal.SIGPIPE)
        if isinstance(error, InputError):
            message = str(error)
        elif is_out_of_memory(error):
            message = "the memory does not hold it: --device cpu may have more"
        elif isinstance(error, OSError):  # a full disk, a folder that is gone
            message = f"{error.filename or 'a file'}: {error.strerror or error}"
        else:
            raise
        print(f"{Path(sys.argv[0]).name}: {' '.join(message.split())}", file=sys.stderr)
        sys.exit(2)


def is_reader_gone():
    """Return whether the reader of standard output has ended (``| head``). If so, write nothing more to it."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    is_gone = any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    if is_gone:  # Python flushes once more when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return is_gone


def stop(number, _):
    """End the process with status 130 (SIGINT) or 143 (SIGTERM)."""
    script, name = Path(sys.argv[0]).name, signal.Signals(number).name
    with contextlib.suppress(Exception):  # a print may be going on
        sys.stdout.flush()
    line = f"{script}: stopped by {name}; the same command goes on from what is finished\n"
    # A progress bar leaves the cursor in its line.
    os.write(2, ("\n" * os.isatty(2) + line).encode())
    os._exit(128 + number)


def handle_signals(handler):
    """Install a handler of SIGINT and SIGTERM, unless they are ignored (``nohup``, ``&``)."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)
