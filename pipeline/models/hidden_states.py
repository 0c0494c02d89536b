"""Read the hidden states of any causal architecture, layer by layer.

Transformers returns these states with ``output_hidden_states``: the embedding, then the states after each layer. The
states of the last layer have passed the final normalisation. All layers at once take much memory. So hooks read the
states from the layers one after another. A few tokens first show which modules are the layers, and that hooks and
Transformers give the same numbers.
"""

import contextlib
from functools import partial
from typing import NamedTuple

import torch

from pipeline.errors import InputError

N_COMPARED = 16  # tokens whose states are read both by hooks and from Transformers


class Layout(NamedTuple):
    """The modules of a model that hold its hidden states."""

    n_layers: int  # the embedding included
    n_units: int
    blocks: torch.nn.ModuleList | None  # the layers; None where Transformers must return all states at once
    projection: torch.nn.Module | None  # the layer that changes the width after the last one (OPT-350m)
    is_normalised: bool = True  # whether the states of the last layer have passed the final normalisation


def skip_final_norm(layout):
    """Return the layout whose last states are the output of the last layer; InputError if they cannot be read."""
    if layout.blocks is None or layout.projection is not None:
        raise InputError("--before_norm: expected a model whose layers are read one by one, got another. Leave it out.")
    return layout._replace(is_normalised=False)


@torch.inference_mode()
def find_layers(model, token_ids):
    """Find the layers of a model by the states of a few tokens.

    InputError is raised if transformers returns no states for this architecture, or states of different shapes.

    Parameters
    ----------
    model : transformers.PreTrainedModel in evaluation mode
    token_ids : int array (n_tokens,), at least one token; the model reads the first ``N_COMPARED``

    Returns
    -------
    Layout
    """
    ids = torch.tensor(token_ids[:N_COMPARED], device=model.device)[None]
    lists = [module for module in model.modules() if isinstance(module, torch.nn.ModuleList)]
    inputs: list[list] = [[] for _ in lists]  # of each list of modules: (index of the module, its input)

    def keep_input(inputs_of_list, index, states):
        inputs_of_list.append((index, states if states is None else states.clone()))

    with contextlib.ExitStack() as hooks:
        for blocks, inputs_of_list in zip(lists, inputs, strict=True):
            hooks.enter_context(_hook_inputs(blocks, partial(keep_input, inputs_of_list)))
        output = model.base_model(input_ids=ids, use_cache=False, output_hidden_states=True)

    expected, last = output.hidden_states, getattr(output, "last_hidden_state", None)
    projection = _find_projection(model, expected)
    n_units = _check_shapes(model, expected[:-1] if projection is not None else expected, ids.shape[1])
    for blocks, inputs_of_list in zip(lists, inputs, strict=True):
        indices, states = [index for index, _ in inputs_of_list], [states for _, states in inputs_of_list]
        is_complete = indices == list(range(len(expected) - 1))
        if is_complete and _are_layers(states, expected) and _is_same(last, expected[-1]):
            return Layout(len(expected), n_units, blocks, projection)
    if projection is not None:
        raise InputError(f"{type(model).__name__}: expected states of one width, got a last layer of another.")
    return Layout(len(expected), n_units, None, None)


@torch.inference_mode()
def read_states(model, token_ids, layout, add):
    """Read windows of tokens with a model as one batch, and call ``add(layer, states)`` with the states of each layer.

    InputError is raised if the model did not call each layer once, in order.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    token_ids : int array (n_windows, n_tokens)
    layout : Layout, as ``find_layers`` returns it
    add : callable of the number of a layer, 0 for the embedding, and a tensor (n_windows, n_tokens, n_units)

    Returns
    -------
    tensor (n_windows, n_tokens, n_units) or None
        The last hidden states, from which the output layer computes logits. Their width is that of the output layer,
        to which OPT-350m projects. None where the model does not return them.
    """
    ids = torch.tensor(token_ids, device=model.device)
    if layout.blocks is None:
        output = model.base_model(input_ids=ids, use_cache=False, output_hidden_states=True)
        for layer, states in enumerate(output.hidden_states):
            add(layer, states)
        return getattr(output, "last_hidden_state", None)

    read = []

    def add_input(layer, states):
        read.append(layer)
        add(layer, states)

    last: list = []  # the output of the last layer

    def keep_last(module, args, output):
        last[:] = [output[0] if isinstance(output, tuple) else output]

    with (
        _hook_inputs([*layout.blocks, *([] if layout.projection is None else [layout.projection])], add_input),
        layout.blocks[-1].register_forward_hook(keep_last),
    ):
        output = model.base_model(input_ids=ids, use_cache=False)
    if layout.projection is None:
        add_input(layout.n_layers - 1, output.last_hidden_state if layout.is_normalised else last[0])
    if read != list(range(layout.n_layers)):
        raise InputError(f"{type(model).__name__}: expected states of layers 0 to {layout.n_layers - 1}, got {read}.")
    return getattr(output, "last_hidden_state", None)


@contextlib.contextmanager
def _hook_inputs(modules, receive):
    """Call ``receive(index, states)`` with the input of each called module, None unless a tensor. A context manager."""

    def hook(index, module, args, kwargs):
        states = args[0] if args else kwargs.get("hidden_states")
        receive(index, states if isinstance(states, torch.Tensor) else None)

    with contextlib.ExitStack() as hooks:
        for index, module in enumerate(modules):
            hooks.callback(module.register_forward_pre_hook(partial(hook, index), with_kwargs=True).remove)
        yield


def _is_same(states, expected):
    if states is None or states.shape != expected.shape:
        return False
    return torch.allclose(states, expected, rtol=0, atol=0, equal_nan=True)


def _are_layers(states, expected):
    """Return whether the inputs of modules are the states that Transformers returned, without the last states."""
    if all(map(_is_same, states, expected)):
        return True
    # Of recurrent models, Transformers does not return the embedding, and returns the last layer twice: before and
    # after normalisation.
    return len(states) > 1 and all(map(_is_same, states[1:], expected)) and states[0].shape == expected[0].shape


def _find_projection(model, expected):
    """Return the linear layer that changes the width of the last states, or None."""
    if expected is None or expected[-1].shape == expected[0].shape:
        return None
    widths = expected[0].shape[-1], expected[-1].shape[-1]
    linear = [module for module in model.base_model.modules() if isinstance(module, torch.nn.Linear)]
    projections = [layer for layer in linear if (layer.in_features, layer.out_features) == widths]
    return projections[0] if len(projections) == 1 else None


def _check_shapes(model, expected, n_tokens):
    """Check that the states of all layers have one shape, and return the number of units."""
    shapes = [tuple(states.shape) for states in expected or ()]
    if not shapes or set(shapes) != {(1, n_tokens, shapes[0][-1])}:
        raise InputError(
            f"{type(model).__name__}: expected hidden states of {n_tokens} tokens and one width in every layer, "
            f"got {', '.join(map(str, dict.fromkeys(shapes))) or 'none'}. Use another model."
        )
    return shapes[0][-1]
