from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import HOOKS, OPTIM_WRAPPERS
from mmengine.runner import Runner
from small_runs import LAST, TASKS, short_options, small_config

from mmsepvit.cli.train import main as train
from mmsepvit.config_tree import built_class
from mmsepvit.engine import precision
from mmsepvit.errors import UserError

CONFIGS = Path(__file__).parents[2] / 'configs'
no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason='shows what happens without a GPU')


@HOOKS.register_module(force=True)
class SeenDtypes(Hook):
    """Notes the dtypes that the backbone's linear layers and the RoI extractors get and give."""

    seen: set

    def before_train(self, runner: Runner) -> None:
        SeenDtypes.seen = set()
        for name, module in runner.model.named_modules():
            if name.endswith(('mlp.fc1', 'roi_extractor')):
                module.register_forward_hook(self.note(name.split('.')[-1]))

    def note(self, name: str):
        def hook(module, arguments, output) -> None:
            SeenDtypes.seen.add((name, output.dtype))

        return hook


@no_gpu
@pytest.mark.parametrize('task', TASKS)
def test_bfloat16_on_cpu(task: str, in_mini_root: Path, tmp_path: Path) -> None:
    config = tmp_path / 'watched.py'
    hooks = "custom_hooks = [dict(type='mmengine.SeenDtypes')]"
    config.write_text(f'_base_ = {small_config(task)!r}\n{hooks}\n')
    train(
        [
            *(str(config), '--mini', '--amp', 'bf16', '--work-dir', str(tmp_path / 'work')),
            *('--cfg-options', *short_options(task)),
        ]
    )
    assert ('fc1', torch.bfloat16) in SeenDtypes.seen
    if task == 'det':
        # Boxes rounded to bfloat16 would be off by pixels, and the kernel has no such type.
        assert {dtype for name, dtype in SeenDtypes.seen if 'roi' in name} == {torch.float32}
    (file,) = (tmp_path / 'work').glob('*/vis_data/scalars.json')
    losses = [json.loads(line).get('loss', 0.0) for line in file.read_text().splitlines()]
    assert all(math.isfinite(loss) for loss in losses)
    assert max(losses) > 0
    checkpoint = torch.load(tmp_path / 'work' / LAST[task], map_location='cpu', weights_only=False)
    weights = [value for value in checkpoint['state_dict'].values() if value.is_floating_point()]
    assert all(weight.dtype == torch.float32 for weight in weights)
    assert all(bool(weight.isfinite().all()) for weight in weights)
    log = next((tmp_path / 'work').glob('*/*.log')).read_text()
    assert 'CPU autocast in bfloat16' in log


@no_gpu
def test_config_with_amp_falls_back_on_cpu() -> None:
    config = Config.fromfile(CONFIGS / 'mask_rcnn_sepvit_t_3x_coco.py')
    assert config.optim_wrapper.type == 'AmpOptimWrapper'
    (note,) = precision.set_precision(config, None)
    assert 'GPU' in note
    assert config.optim_wrapper.type == 'OptimWrapper'
    assert 'loss_scale' not in config.optim_wrapper


@pytest.mark.parametrize('name', ['upernet_sepvit_t_ade20k', 'mask_rcnn_sepvit_t_3x_coco'])  # the second is in fp16
@pytest.mark.parametrize('amp', ['fp16', 'bf16'])
def test_wrapper_on_gpu(name: str, amp: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a machine with a GPU gets; that it trains has been seen on none yet."""
    monkeypatch.setattr(precision, 'get_device', lambda: 'cuda')
    config = Config.fromfile(CONFIGS / f'{name}.py')
    before = config.optim_wrapper.optimizer.to_dict()
    assert precision.set_precision(config, amp) == []
    wrapper = config.optim_wrapper
    assert wrapper.type == 'AmpOptimWrapper'
    assert wrapper.dtype == {'fp16': 'float16', 'bf16': 'bfloat16'}[amp]
    assert wrapper.loss_scale == ('dynamic' if amp == 'fp16' else {'enabled': False})
    assert wrapper.optimizer.to_dict() == before


@pytest.mark.parametrize('kind', ['OptimWrapper', 'mmengine.OptimWrapper', 'mmengine.optim.OptimWrapper', OptimWrapper])
def test_wrapper_under_any_name(kind: str | type) -> None:
    config = Config.fromfile(CONFIGS / 'upernet_sepvit_t_ade20k.py')
    config.optim_wrapper.type = kind
    precision.set_precision(config, 'bf16')
    name = 'AmpOptimWrapper' if torch.cuda.is_available() else 'CpuAmpOptimWrapper'
    assert built_class(config.optim_wrapper, 'mmseg', OPTIM_WRAPPERS).__name__ == name


@no_gpu
@pytest.mark.parametrize('kind', ['AmpOptimWrapper', 'mmengine.AmpOptimWrapper', AmpOptimWrapper])
def test_mixed_precision_under_any_name_falls_back_on_cpu(kind: str | type) -> None:
    config = Config.fromfile(CONFIGS / 'upernet_sepvit_t_ade20k.py')
    config.optim_wrapper.update(type=kind, dtype='bfloat16')
    assert len(precision.set_precision(config, None)) == 1
    assert built_class(config.optim_wrapper, 'mmseg', OPTIM_WRAPPERS) is OptimWrapper


class OwnWrapper(OptimWrapper):
    """Steps in a way that another wrapper would not."""


@pytest.mark.parametrize('kind', [OwnWrapper, 'ApexOptimWrapper'])
def test_wrapper_that_cannot_be_replaced_is_refused(kind: str | type) -> None:
    config = Config.fromfile(CONFIGS / 'upernet_sepvit_t_ade20k.py')
    config.optim_wrapper.type = kind
    with pytest.raises(UserError, match=getattr(kind, '__name__', kind)):
        precision.set_precision(config, 'bf16')


def test_plain_config_is_left_alone() -> None:
    config = Config.fromfile(CONFIGS / 'upernet_sepvit_t_ade20k.py')
    before = config.pretty_text
    assert precision.set_precision(config, None) == []
    assert config.pretty_text == before
