"""Choose the device that computes."""

import torch

from pipeline.errors import InputError


def pick_device(name):
    """Return a torch.device, after a test that it computes.

    InputError is raised if the device does not exist or cannot be used.

    Parameters
    ----------
    name : str, ``auto`` (CUDA where it is available, else the CPU), or a name of PyTorch: ``cpu``, ``cuda``, ``cuda:1``
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"--device {name} cannot be used here ({reason}). Use --device cpu.") from error
    return torch.device(name)
