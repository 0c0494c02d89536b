"""Read the hidden states of any causal architecture, layer by layer.

The states are those that Transformers returns with ``output_hidden_states``: the embedding, then
the states after each layer, the last of which have passed the final normalisation. To hold all
layers at once takes much memory. So the states are taken from the layers as they come, after a
few tokens have shown where the layers are and that both ways give the same numbers.
"""

from typing import NamedTuple

import torch

from pipeline.errors import InputError

N_COMPARED = 16  # tokens that are read in both ways


class Layout(NamedTuple):
    """Where a model keeps its hidden states."""

    n_layers: int  # the embedding included
    n_units: int
    blocks: torch.nn.ModuleList | None  # its layers; None where Transformers must return all states at once
    projection: torch.nn.Module | None  # changes the width after the last layer (OPT-350m)


@torch.inference_mode()
def find_layers(model, token_ids):
    """Find where a model keeps its layers, from the states of a few tokens.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        In evaluation mode.
    token_ids : int array of shape (n_tokens,)
        At least one; the first ones are read.

    Returns
    -------
    Layout

    Raises
    ------
    InputError
        Transformers returns no states for this architecture, or states of different shapes.
    """
    ids = torch.tensor(token_ids[:N_COMPARED], device=model.device)[None]
    inputs: dict[str, list] = {}  # by the name of a list of modules: (index of the module, what it was given)
    lists = {name: part for name, part in model.named_modules() if isinstance(part, torch.nn.ModuleList)}

    def note(name, index):
        def keep(block, args, kwargs):
            states = _given_states(args, kwargs)
            inputs[name].append((index, states if states is None else states.clone()))

        return keep

    hooks = []
    for name, blocks in lists.items():
        inputs[name] = []
        for index, block in enumerate(blocks):
            hooks.append(block.register_forward_pre_hook(note(name, index), with_kwargs=True))
    try:
        output = model.base_model(input_ids=ids, use_cache=False, output_hidden_states=True)
    finally:
        for hook in hooks:
            hook.remove()

    expected, last = output.hidden_states, getattr(output, "last_hidden_state", None)
    projection = _projection(model, expected)
    n_units = _check_shapes(model, expected[:-1] if projection is not None else expected, ids.shape[1])
    for name, given in inputs.items():
        if [index for index, _ in given] != list(range(len(expected) - 1)) or last is None:
            continue
        states = [of_block for _, of_block in given]
        if _are_layers(states, expected) and _is_same(last, expected[-1]):
            return Layout(len(expected), n_units, lists[name], projection)
    if projection is not None:
        raise InputError(f"{type(model).__name__}: expected states of one width, got a last layer of another.")
    return Layout(len(expected), n_units, None, None)


@torch.inference_mode()
def read_states(model, token_ids, layout, add):
    """Let a model read some tokens, and call ``add(layer, states)`` with the states of each layer.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    token_ids : int array of shape (n_tokens,)
    layout : Layout
        As ``find_layers`` returns it.
    add : callable
        Is given the number of the layer, from 0 for the embedding, and a tensor of shape (n_tokens, n_units).

    Raises
    ------
    InputError
        A layer was not read.
    """
    ids = torch.tensor(token_ids, device=model.device)[None]
    if layout.blocks is None:
        states_of_layers = model.base_model(input_ids=ids, use_cache=False, output_hidden_states=True).hidden_states
        for layer, states in enumerate(states_of_layers):
            add(layer, states[0])
        return

    read = []

    def pass_on(layer):
        def hook(module, args, kwargs):
            read.append(layer)
            add(layer, _given_states(args, kwargs)[0])

        return hook

    modules = [*layout.blocks, *([] if layout.projection is None else [layout.projection])]
    hooks = [part.register_forward_pre_hook(pass_on(layer), with_kwargs=True) for layer, part in enumerate(modules)]
    try:
        output = model.base_model(input_ids=ids, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    if layout.projection is None:
        read.append(layout.n_layers - 1)
        add(layout.n_layers - 1, output.last_hidden_state[0])
    if read != list(range(layout.n_layers)):
        raise InputError(f"{type(model).__name__}: expected states of layers 0 to {layout.n_layers - 1}, got {read}.")


def _given_states(args, kwargs):
    """Return the hidden states that a layer is given, or None where it is given none."""
    states = args[0] if args else kwargs.get("hidden_states")
    return states if isinstance(states, torch.Tensor) else None


def _is_same(states, expected):
    return (
        states is not None
        and states.shape == expected.shape
        and torch.allclose(states, expected, rtol=0, atol=0, equal_nan=True)
    )


def _are_layers(states, expected):
    """Check that what some modules were given are the states that Transformers returned, but the last."""
    if all(map(_is_same, states, expected)):
        return True
    # Recurrent models: Transformers leaves the embedding out, and returns the last layer with and without
    # its normalisation.
    return len(states) > 1 and all(map(_is_same, states[1:], expected)) and states[0].shape == expected[0].shape


def _projection(model, expected):
    """Return the linear layer that gives the last states another width, or None."""
    if expected is None or expected[-1].shape == expected[0].shape:
        return None
    widths = expected[0].shape[-1], expected[-1].shape[-1]
    linear = [part for part in model.base_model.modules() if isinstance(part, torch.nn.Linear)]
    projections = [part for part in linear if (part.in_features, part.out_features) == widths]
    return projections[0] if len(projections) == 1 else None


def _check_shapes(model, expected, n_tokens):
    """Check that the states of all layers have one shape, and return the number of units."""
    shapes = [tuple(states.shape) for states in expected or ()]
    if not shapes or set(shapes) != {(1, n_tokens, shapes[0][-1])}:
        raise InputError(
            f"{type(model).__name__}: expected hidden states of {n_tokens} tokens and one width in every layer, "
            f"got {', '.join(map(str, dict.fromkeys(shapes))) or 'none'}. Its states cannot be used."
        )
    return shapes[0][-1]
