"""Measure the free memory of devices."""

import torch


def count_free_bytes(device):
    """Return the bytes of a CUDA device that this process can still use, or None for another device.

    The memory that PyTorch keeps for later tensors is free.
    """
    if device.type != "cuda":
        return None
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + kept
