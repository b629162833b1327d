"""The command line of ``tools/replay.py``: where a training step that failed stops being finite."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from ..checkpoints.read import read_file
from ..config_tree import model_settings
from ..configs.load import apply_options, load_config
from ..engine.non_finite import image_files
from ..engine.randomness import seed_step
from ..errors import UserError
from .command import Parser, add_options, add_trust


def main(argv: list[str]) -> None:
    """Repeats a training step that was kept as not finite and prints where it begins.

    Args:
        argv: Arguments of the command line, without the program's name.

    Raises:
        UserError: The file is no batch that a training has kept, or of another model.
    """
    parser = Parser('replay.py', 'Repeats a training step whose loss or gradient was not finite.')
    parser.add_argument('config', help='config file, as the training has left it in its work directory')
    parser.add_argument('batch', help='file of the folder non_finite of the work directory')
    add_options(parser)
    add_trust(parser)
    args = parser.parse_args(argv)
    kept = read_file(args.batch, args.trust)
    if not isinstance(kept, dict) or not {'state_dict', 'data_batch', 'meta'} <= kept.keys():
        raise UserError(f"'{args.batch}' is no batch that a training has kept.")
    config = load_config(args.config)
    for note in apply_options(config, args.cfg_options):
        print(note)
    with DefaultScope.overwrite_default_scope(config.default_scope):
        model = MODELS.build(model_settings(config))
        wrapper = build_optim_wrapper(model, config.optim_wrapper)
    try:
        model.load_state_dict(kept['state_dict'])
    except RuntimeError as error:
        raise UserError(f"'{args.batch}' is of another model than '{args.config}': {str(error)[:200]}") from None
    _replay(model, wrapper, kept)


def _replay(model: nn.Module, wrapper: Any, kept: dict[str, Any]) -> None:
    meta = kept['meta']
    print(f'iteration {meta["iter"] + 1}, epoch {meta["epoch"]}, seed {meta["seed"]}, process {meta["rank"]}')
    print(f'images: {", ".join(image_files(kept["data_batch"])) or "unknown"}')
    bad = [tuple(tensor.shape) for tensor in _tensors(kept['data_batch']) if not _finite(tensor)]
    if bad:
        print(f'the batch itself is not finite: {len(bad)} tensors, such as one of {bad[0]}')
    first: list[str] = []
    for name, module in model.named_modules():
        if not list(module.children()) and module is not model.data_preprocessor:
            module.register_forward_hook(_watch(name, first))
    model.train()
    seed_step(meta['seed'], meta['rank'], meta['iter'])
    with wrapper.optim_context(model):
        data = model.data_preprocessor(kept['data_batch'], True)
        loss, terms = model.parse_losses(model._run_forward(data, mode='loss'))
    for name, value in terms.items():
        print(f'{name}: {float(value):.6g} (then {meta["losses"].get(name, float("nan")):.6g})')
    print(f'first layer with an output that is not finite: {first[0] if first else "none"}')
    loss.backward()
    broken = [n for n, p in model.named_parameters() if p.grad is not None and not _finite(p.grad)]
    total = sum(1 for _ in model.parameters())
    print(f'gradients that are not finite: {len(broken)} of {total}' + (f', such as {broken[-1]}' if broken else ''))


def _watch(name: str, first: list[str]) -> Any:
    def hook(module: nn.Module, inputs: Any, outputs: Any) -> None:
        if not first and not all(map(_finite, _tensors(outputs))):
            fed = all(map(_finite, _tensors(inputs)))
            first.append(f'{name} ({type(module).__name__}), of an input that {"is" if fed else "is not"} finite')

    return hook


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _tensors(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _tensors(each)


def _finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())
