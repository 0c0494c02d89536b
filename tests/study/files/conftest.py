"""Fixtures that tests of this folder share."""

import pytest

from study.files import tables


@pytest.fixture
def read(tmp_path):
    """read(content, columns, ...) -> rows of a file with this content."""

    def read_content(content, *arguments, **options):
        path = tmp_path / "t.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tables.read_csv(path, *arguments, **options)

    return read_content
