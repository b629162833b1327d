"""Arguments of a config that a class refuses: told in a line, and no other exception is taken for one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS
from mmengine.runner import Runner
from torch import nn

import mmsepvit  # noqa: F401
from mmsepvit.configs.constructors import explain


@MODELS.register_module(force=True)
class Base(nn.Module):
    def __init__(self, width: int, depth: int = 1) -> None:
        super().__init__()
        if width % 2:
            raise ValueError(f'width={width} is odd\nand more')
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))


@MODELS.register_module(force=True)
class Child(Base):
    def __init__(self, name: str = 'child', inner: dict | None = None, fault: str = '', **kwargs: int) -> None:
        super().__init__(**kwargs)
        self.inner = MODELS.build(inner) if inner else None
        if fault:
            {'call': lambda: nn.Linear(nothing=1), 'value': lambda: torch.zeros(-1), 'key': lambda: {}['a']}[fault]()


def message(build: Callable[[], object]) -> str | None:
    try:
        build()
    except Exception as error:
        return explain(error)
    raise AssertionError('nothing was refused')


@pytest.mark.parametrize(
    ('config', 'words'),
    [
        ({'type': 'Child', 'width': 2, 'dept': 3}, ["Child takes no argument 'dept'. Did you mean depth?"]),
        ({'type': Child, 'width': 2, 'nane': 3}, ["takes no argument 'nane'. Did you mean name"]),
        ({'type': 'Child', 'width': 2, 'inner': {'type': 'Base', 'widht': 2}}, ["Base takes no argument 'widht'"]),
        ({'type': 'Child'}, ['Child lacks an argument', "'width'"]),
        ({'type': 'Childs', 'width': 2}, ["type 'Childs' is unknown among", 'Did you mean Child']),
        ({'width': 2}, ['no type', 'width']),
        ({'type': 'Child', 'width': 3}, ['Child cannot be built', 'width=3 is odd\n', 'test_constructors.py, line']),
        ({'type': 'SepViT', 'arch': 'huge'}, ['SepViT cannot be built', 'huge']),
        ({'type': 'mmsepvit.SepViT', 'pretrained': 'x.pth'}, ['takes no argument', 'model.backbone.init_cfg.type']),
    ],
)
def test_what_a_config_has_wrong(config: dict, words: list[str]) -> None:
    found = message(lambda: MODELS.build(ConfigDict(config)))
    assert found is not None
    assert all(word in found for word in words), found
    assert len(found.splitlines()) <= 2


@pytest.mark.parametrize('fault', ['call', 'value', 'key'])
def test_defect_of_the_code_keeps_its_traceback(fault: str) -> None:
    assert message(lambda: MODELS.build({'type': 'Child', 'width': 2, 'fault': fault})) is None


def test_nothing_built_nothing_said() -> None:
    assert message(lambda: Child(width=2, dept=3)) is None


def test_dataloader() -> None:
    loader = {'dataset': [1, 2], 'sampler': torch.utils.data.SequentialSampler([1, 2]), 'batchsize': 1}
    found = message(lambda: Runner.build_dataloader(loader))
    assert found is not None
    assert found.startswith("DataLoader takes no argument 'batchsize'. Did you mean batch_size")


def test_clip_grad() -> None:
    layer = nn.Linear(2, 2)
    wrapper = OptimWrapper(torch.optim.SGD(layer.parameters(), lr=0.1), clip_grad={'maxnorm': 1})
    found = message(lambda: wrapper.update_params(layer(torch.ones(1, 2)).sum()))
    assert found == "clip_grad_norm_ takes no argument 'maxnorm'. Did you mean max_norm?"
