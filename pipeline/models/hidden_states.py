"""Read the hidden states of any causal architecture, layer by layer.

Transformers returns these states with ``output_hidden_states``: the embedding, then the states after each layer. The
states of the last layer have passed the final normalisation. All layers at once take much memory. So hooks read the
states from the layers one after another. A few tokens first show which modules are the layers, and that hooks and
Transformers give the same numbers.
"""

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


@torch.inference_mode()
def find_layers(model, token_ids):
    """Find the layers of a model by the states of a few tokens.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        In evaluation mode.
    token_ids : int array of shape (n_tokens,)
        At least one token. The model reads the first ``N_COMPARED``.

    Returns
    -------
    Layout

    Raises
    ------
    InputError
        Transformers returns no states for this architecture, or states of different shapes.
    """
    ids = torch.tensor(token_ids[:N_COMPARED], device=model.device)[None]
    inputs: dict[str, list] = {}  # by the name of a list of modules: (index of the module, its input)
    lists = {name: module for name, module in model.named_modules() if isinstance(module, torch.nn.ModuleList)}

    def make_hook(name, index):
        def keep_input(block, args, kwargs):
            states = _get_input_states(args, kwargs)
            inputs[name].append((index, states if states is None else states.clone()))

        return keep_input

    hooks = []
    for name, blocks in lists.items():
        inputs[name] = []
        for index, block in enumerate(blocks):
            hooks.append(block.register_forward_pre_hook(make_hook(name, index), with_kwargs=True))
    try:
        output = model.base_model(input_ids=ids, use_cache=False, output_hidden_states=True)
    finally:
        for hook in hooks:
            hook.remove()

    expected, last = output.hidden_states, getattr(output, "last_hidden_state", None)
    projection = _find_projection(model, expected)
    n_units = _check_shapes(model, expected[:-1] if projection is not None else expected, ids.shape[1])
    for name, block_inputs in inputs.items():
        if [index for index, _ in block_inputs] != list(range(len(expected) - 1)) or last is None:
            continue
        states = [block_states for _, block_states in block_inputs]
        if _are_layers(states, expected) and _is_same(last, expected[-1]):
            return Layout(len(expected), n_units, lists[name], projection)
    if projection is not None:
        raise InputError(f"{type(model).__name__}: expected states of one width, got a last layer of another.")
    return Layout(len(expected), n_units, None, None)


@torch.inference_mode()
def read_states(model, token_ids, layout, add):
    """Read tokens with a model, and call ``add(layer, states)`` with the states of each layer.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    token_ids : int array of shape (n_tokens,)
    layout : Layout
        As ``find_layers`` returns it.
    add : callable
        Called with the number of the layer, 0 for the embedding, and a tensor of shape (n_tokens, n_units).

    Raises
    ------
    InputError
        The model did not call each layer once, in order.
    """
    ids = torch.tensor(token_ids, device=model.device)[None]
    if layout.blocks is None:
        states_of_layers = model.base_model(input_ids=ids, use_cache=False, output_hidden_states=True).hidden_states
        for layer, states in enumerate(states_of_layers):
            add(layer, states[0])
        return

    read = []

    def make_hook(layer):
        def add_input(module, args, kwargs):
            read.append(layer)
            add(layer, _get_input_states(args, kwargs)[0])

        return add_input

    modules = [*layout.blocks, *([] if layout.projection is None else [layout.projection])]
    hooks = [
        module.register_forward_pre_hook(make_hook(layer), with_kwargs=True) for layer, module in enumerate(modules)
    ]
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


def _get_input_states(args, kwargs):
    """Return the hidden states among the arguments of a layer, or None."""
    states = args[0] if args else kwargs.get("hidden_states")
    return states if isinstance(states, torch.Tensor) else None


def _is_same(states, expected):
    return (
        states is not None
        and states.shape == expected.shape
        and torch.allclose(states, expected, rtol=0, atol=0, equal_nan=True)
    )


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
