"""Limit what is unpacked from zip archives."""

import zipfile


def check_member(member, most_bytes):
    """ValueError unless a file in a zip archive is small, and compressed so that little is unpacked at once."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or member.file_size > most_bytes:
        raise ValueError(f"{member.filename} in it is larger than it should be, or compressed in another way")
