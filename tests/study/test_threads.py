"""Test reading ahead in a thread, and mapping in threads."""

import threading
import weakref

import numpy as np
import pytest

from pipeline.errors import InputError
from study.threads import map_in_threads, read_ahead


def test_the_next_item_is_made_while_an_item_is_used():
    is_begun = [threading.Event() for _ in range(4)]

    def make_items():
        for number in range(4):
            is_begun[number].set()
            yield number

    for number in read_ahead(make_items()):
        if number < 3:
            assert is_begun[number + 1].wait(10)


def test_two_items_are_in_memory_at_most():
    items = []

    def make_items():
        for number in range(6):
            array = np.full(5, number)
            items.append(weakref.ref(array))
            assert sum(item() is not None for item in items) <= 2
            yield array
            del array

    assert list(map(np.sum, read_ahead(make_items()))) == [0, 5, 10, 15, 20, 25]
    assert len(items) == 6


def test_errors_come_after_the_items_before_them():
    def make_items():
        yield 1
        raise InputError("run 1: damaged")

    items = read_ahead(make_items())
    assert next(items) == 1
    with pytest.raises(InputError, match="run 1: damaged"):
        next(items)


def test_the_first_error_in_order_is_raised():
    def check(number):
        if number >= 2:
            raise InputError(f"number {number}")
        return -number

    assert map_in_threads(check, [0, 1]) == [0, -1]
    with pytest.raises(InputError, match="number 2"):
        map_in_threads(check, range(9))
