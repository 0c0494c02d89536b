"""Read and prepare files in threads, while other threads compute. Decompression and NumPy release Python's lock."""

from concurrent.futures import ThreadPoolExecutor

N_THREADS = 4
END = object()


def map_in_threads(function, *values):
    """Return ``list(map(function, *values))``, computed by N_THREADS threads. The first error in order is raised."""
    with ThreadPoolExecutor(N_THREADS) as executor:
        return list(executor.map(function, *values))


def read_ahead(items):
    """Yield the items of an iterator, while a thread makes the next item.

    A caller that deletes each item before the next keeps two items in memory: its own and the next.
    """
    iterator = iter(items)
    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(next, iterator, END)
        while (item := future.result()) is not END:
            future = executor.submit(next, iterator, END)
            yield item
            del item
