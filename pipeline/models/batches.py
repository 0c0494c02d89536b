"""Run a model on batches that fit in the memory of its device, and explain its errors."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import torch

from pipeline.errors import InputError, is_out_of_memory


def work_in_batches(items, batch_size, work, log, prepare=None):
    """Call a function with consecutive batches of items, and halve the batches where memory runs out.

    Finished batches are not repeated. InputError is raised if a batch of one item does not fit in memory.

    Parameters
    ----------
    items : sequence
    batch_size : int
    work : callable of a batch, a slice of the items; it should keep nothing of a batch on the device
    log : callable of a line for the user, where the batches become smaller
    prepare : callable of a batch, optional; its result is the second argument of ``work``
        A thread prepares the next batch during the work on a batch. No two calls of ``prepare`` overlap.
    """
    first, ahead = 0, None
    with ThreadPoolExecutor(max_workers=1) as thread:

        def begin_to_prepare(start):
            batch = items[start : start + batch_size]
            return thread.submit(prepare, batch) if prepare and len(batch) else None

        def do(batch):
            nonlocal ahead
            if prepare is None:
                work(batch)
                return
            prepared = (ahead or begin_to_prepare(first)).result()
            ahead = begin_to_prepare(first + len(batch))
            work(batch, prepared)

        while first < len(items):
            batch = items[first : first + batch_size]
            if _fits_in_memory(do, batch):
                first += len(batch)
                continue
            if len(batch) == 1:
                raise InputError(
                    "the memory of the device does not hold the model's work on even one text: "
                    "use another --device or a smaller model"
                )
            # The last batch may have fewer items than batch_size.
            batch_size, ahead = len(batch) // 2, None
            log(f"the memory of the device does not hold {len(batch)} at once; going on with {batch_size}")


@contextlib.contextmanager
def explain_model_errors(model, task):
    """Raise an error inside a model as InputError in one line. A lack of memory is raised unchanged.

    InputError is raised if the model failed, or drew random numbers (Reformer), so that its results cannot be
    reproduced.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    task : str, a verb phrase that follows "cannot" in the message
    """
    name, before = type(model).__name__, _get_random_states(model)
    try:
        yield
    except Exception as error:
        if isinstance(error, InputError) or is_out_of_memory(error):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise InputError(f"{name} cannot {task} ({reason}). Use another model or device.") from error
    if not all(map(torch.equal, before, _get_random_states(model))):
        raise InputError(f"{name}: expected the same numbers from every reading, got random ones. Use another model.")


def _get_random_states(model):
    """Return the states of the random generators that a model can draw from."""
    states = [torch.get_rng_state()]
    if getattr(model.device, "type", None) == "cuda":
        states.append(torch.cuda.get_rng_state(model.device))
    return states


def _fits_in_memory(work, batch):
    """Call a function with a batch, and return False, with its memory freed, where memory runs out."""
    try:
        work(batch)
        return True
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    # The exception holds the tensors of the failed batch, so memory can only be freed after the except clause.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return False
