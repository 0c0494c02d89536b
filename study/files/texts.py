"""Read text files in UTF-8, and name the line of an error."""

import codecs
import re

from pipeline.errors import InputError, explain_errors

LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def decode(content, path, remedy="Save it as UTF-8, or get it again.", errors="strict"):
    """Return the text of bytes in UTF-8, without the byte order mark that some programs write first.

    Other bytes raise InputError, which names ``path`` (any source) and the first wrong line, and ends with the remedy.
    ``errors="surrogatepass"`` reads lone surrogates, which strict UTF-8 excludes.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(f"{path}: expected text in UTF-8, got UTF-16. {remedy}")
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        return content.decode("utf-8", errors)
    except UnicodeDecodeError as error:
        line_end = b"\n" if b"\n" in content else b"\r"
        line = content.count(line_end, 0, error.start) + 1
        raise InputError(
            f"{path}: line {line}: expected text in UTF-8, got the byte 0x{content[error.start]:02x}. {remedy}"
        ) from error


def read_lines(path):
    """Read the lines of a text file in UTF-8, a list of str, with line ends of Unix, Windows or old Macs.

    A file that is missing, not in UTF-8, empty, or does not end with a whole line, and a carriage return within a line,
    raise InputError.
    """
    with explain_errors(path, "expected text in UTF-8. Get or make it again."):
        text = decode(path.read_bytes(), path)
    text = text.replace("\r\n", "\n") if "\n" in text else text.replace("\r", "\n")
    *lines, rest = text.split("\n")
    if not text:
        raise InputError(f"{path}: expected lines of text, got an empty file. Get it again.")
    if rest:
        raise InputError(f"{path}: line {len(lines) + 1}: expected a whole line, got a part of one. Get it again.")
    if "\r" in text:
        line = text.count("\n", 0, text.index("\r")) + 1
        raise InputError(
            f"{path}: line {line}: expected line breaks of one kind, got a carriage return within a line. "
            "Remove it, or get the file again."
        )
    return lines


def find_lone_surrogate(text):
    r"""Find the first lone surrogate, half of a character, in a text: written ``\ud83d``, or None.

    JSON can contain lone surrogates. UTF-8 cannot, and no tokenizer reads them.
    """
    match = LONE_SURROGATE.search(text)
    return match and f"\\u{ord(match[0]):04x}"
