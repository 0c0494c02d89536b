"""As much at once as the memory holds."""

import contextlib

import torch

from pipeline.errors import InputError, is_out_of_memory


def work_in_batches(items, batch_size, work, log):
    """Do some work on consecutive batches of items, in smaller ones where memory runs out.

    Parameters
    ----------
    items : sequence
    batch_size : int
        Items that are worked on at once. When the memory of the device does not hold what that
        takes, the batch is tried again with half as many; those that are done stay done.
    work : callable
        Called with each batch, a slice of the items. It should keep nothing of a batch on the
        device.
    log : callable
        Called with a line for the user when the batches become smaller.

    Raises
    ------
    InputError
        A batch of one does not fit in the memory.
    """
    first = 0
    while first < len(items):
        batch = items[first : first + batch_size]
        if _fits_in_memory(work, batch):
            first += len(batch)
        elif len(batch) == 1:
            raise InputError(
                "the memory of the device does not hold the model's work on even one text: "
                "use another --device or a smaller model"
            )
        else:
            # Of the last batch, which may be small, less than batch_size may be at fault.
            batch_size = len(batch) // 2
            log(f"the memory of the device does not hold {len(batch)} at once; going on with {batch_size}")


@contextlib.contextmanager
def explain_model_errors(model, doing):
    """Raise what goes wrong inside a model as InputError in one line; a lack of memory is raised as it is.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    doing : str
        What the model was asked to do, after "cannot".

    Raises
    ------
    InputError
        The model has failed, or has drawn random numbers (Reformer), so that no number could be had again.
    """
    name, before = type(model).__name__, _random_states(model)
    try:
        yield
    except Exception as error:
        if isinstance(error, InputError) or is_out_of_memory(error):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise InputError(f"{name} cannot {doing} ({reason}). Use another model or device.") from error
    if not all(map(torch.equal, before, _random_states(model))):
        raise InputError(f"{name}: expected the same numbers from every reading, got random ones. Use another model.")


def _random_states(model):
    """Return the states of the random generators that a model can draw from."""
    states = [torch.get_rng_state()]
    if getattr(model.device, "type", None) == "cuda":
        states.append(torch.cuda.get_rng_state(model.device))
    return states


def _fits_in_memory(work, batch):
    """Whether the work could be done; what a failed one held is free again afterwards."""
    try:
        work(batch)
        return True
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    # The exception held the failed work's tensors: they can be given back only now that it is gone.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return False
