"""Compute a model's RMS norms with one piece of work each.

Transformers computes an RMS norm in six pieces. For a new token of each text, they take a fifth of the GPU's time.
"""

import contextlib
import functools
import inspect

import torch


@contextlib.contextmanager
def fuse_norms(model):
    """Replace RMS norms of a model by those of PyTorch where both give the same numbers. A context manager."""
    norms, is_same = [module for module in model.modules() if _may_be_rms_norm(module)], {}
    for norm in norms:
        if type(norm) not in is_same:
            is_same[type(norm)] = _is_same(norm)
    fused = [norm for norm in norms if is_same[type(norm)]]
    for norm in fused:
        norm.forward = functools.partial(_normalize, norm)
    try:
        yield
    finally:
        for norm in fused:
            del norm.forward


def _may_be_rms_norm(module):
    has_name = type(module).__name__.endswith("RMSNorm") and "forward" not in vars(module)
    has_parts = isinstance(getattr(module, "weight", None), torch.Tensor) and _find_epsilon(module) is not None
    return has_name and has_parts and len(inspect.signature(module.forward).parameters) == 1


def _find_epsilon(module):
    return getattr(module, "variance_epsilon", getattr(module, "eps", None))


def _normalize(module, hidden):
    return torch.nn.functional.rms_norm(hidden, module.weight.shape, module.weight, _find_epsilon(module))


@torch.inference_mode()
def _is_same(norm):
    """Return whether both ways give the same numbers within rounding, also where epsilon counts."""
    weight = norm.weight
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(4, *weight.shape, generator=generator) * torch.tensor([[1e-3], [1e-2], [1.0], [100.0]])
    values = values.to(weight.device, weight.dtype)
    expected, fused = norm(values), _normalize(norm, values)
    if expected.dtype != fused.dtype:
        return False
    if weight.dtype == torch.float32:
        return torch.allclose(expected, fused, rtol=1e-6, atol=0)
    # Norms that round twice to half precision, as Llama's do, differ in many values.
    is_close = torch.allclose(expected, fused, rtol=2 * torch.finfo(weight.dtype).eps, atol=0)
    return is_close and bool((expected == fused).float().mean() > 0.99)
