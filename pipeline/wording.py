"""Put names into sentences."""


def join_names(names):
    """Return names as one enumeration: ``a``, ``a and b``, ``a, b and c``."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def shorten(names, n_shown=6):
    """Return names as ``a, b and 3 more``, where there are more than n_shown, or ``none`` where there are none."""
    names = list(names)
    more = f" and {len(names) - n_shown} more" if len(names) > n_shown else ""
    return ", ".join(names[:n_shown]) + more or "none"


def describe_array(value):
    """Return data type and shape of an array, ``float32 of shape (3, 4)``, or the type of another value."""
    return f"{value.dtype} of shape {value.shape}" if hasattr(value, "dtype") else type(value).__name__
