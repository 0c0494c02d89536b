"""Limit what is unpacked from zip archives."""

import zipfile


def check_member(member, most_bytes):
    """Check that a file in a zip archive is small, and compressed by a method that unpacks in pieces (ValueError)."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or member.file_size > most_bytes:
        raise ValueError(f"{member.filename} in it has more than {most_bytes:,} bytes, or another compression")
