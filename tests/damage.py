"""Share what tests of faults need."""

import gzip
import zipfile
from pathlib import Path

import joblib
import lz4.frame
import numpy as np
from hostile_files import Reduced, a_bomb, a_nest, an_array_of_terabytes, endless_bytes, endless_text

from study.paths import (
    text_path,
)


def empty(path):
    path.write_bytes(b"")


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3 - 1])


def noise(path):
    path.write_bytes(np.random.default_rng(0).bytes(3000))


def a_folder(path):
    path.unlink()
    path.mkdir()


def a_flipped_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def code(path):
    """A pickle that would make a file, in the compression that the name promises."""
    content = Reduced(open, "hostile", "w").pickled()
    path.write_bytes({".gz": gzip.compress, ".lz4": lz4.frame.compress}.get(path.suffix, bytes)(content))


def a_type_of_its_own(path):
    """An array whose description is told, past all that is looked at, to be one of objects."""
    content = Path(f"{path}.joblib")
    joblib.dump(np.zeros(3), content)
    described = content.read_bytes()
    content.unlink()
    assert b"\x8c\x02f8" in described
    path.write_bytes(
        {".gz": gzip.compress, ".lz4": lz4.frame.compress}[path.suffix](described.replace(b"\x8c\x02f8", b"\x8c\x02O8"))
    )


def nothing_added(path):
    """A list in a list, to which nothing is added."""
    path.write_bytes({".gz": gzip.compress, ".lz4": lz4.frame.compress}[path.suffix](b"\x80\x04](e]a."))


ANY = [empty, cut, noise, a_folder]


HOSTILE = [code, an_array_of_terabytes, a_bomb, a_nest, endless_text, endless_bytes, a_type_of_its_own, nothing_added]


PICKLES = [*ANY, a_flipped_bit, *HOSTILE]


def with_texts(change):
    """Write the archive of texts anew, with other names or texts."""
    path = text_path("en")
    with zipfile.ZipFile(path) as archive:
        texts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in change(texts).items():
            archive.writestr(name, text)
