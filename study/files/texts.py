"""Text files in UTF-8, with the line on which one is wrong."""

import codecs
import re

from pipeline.errors import InputError, explain_errors

LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def decode(content, path, remedy="Save it as UTF-8, or get it again.", errors="strict"):
    """Return the text of bytes in UTF-8, without the byte order mark that some programs write first.

    Parameters
    ----------
    content : bytes
    path : pathlib.Path or str
        What was read, for the message.
    remedy : str
        What to do about it, for the message.
    errors : {"strict", "surrogatepass"}
        The latter reads lone surrogates, which strict UTF-8 does not have.

    Returns
    -------
    str

    Raises
    ------
    InputError
        It is not UTF-8; the message names the first line that is not.
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
    """Read the lines of a text file in UTF-8, which must end with a whole line.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    list of str
        Without line ends, which are those of Unix, Windows or old Macs.

    Raises
    ------
    InputError
        The file is missing, is not in UTF-8, is empty, its last line has no end, or a carriage return
        stands within a line.
    """
    with explain_errors(path, "expected text in UTF-8. Get or make it again."):
        text = decode(path.read_bytes(), path)
    text = text.replace("\r\n", "\n") if "\n" in text else text.replace("\r", "\n")
    *lines, rest = text.split("\n")
    if rest or not lines:
        raise InputError(f"{path}: it is empty or cut short in line {len(lines) + 1}; get it again")
    if "\r" in text:
        line = text.count("\n", 0, text.index("\r")) + 1
        raise InputError(
            f"{path}: line {line}: expected line breaks of one kind, got a carriage return within a line. "
            "Remove it, or get the file again."
        )
    return lines


def find_lone_surrogate(text):
    r"""Return the first half of a character in a text, written ``\ud83d``, or None where all are whole.

    JSON can hold halves of characters (lone surrogates). UTF-8 cannot, and no tokenizer reads them.
    """
    match = LONE_SURROGATE.search(text)
    return match and f"\\u{ord(match[0]):04x}"
