from __future__ import annotations

import copy
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from mmsepvit.configs.load import load_config
from mmsepvit.configs.mini import SETTINGS, apply_mini

CONFIGS = sorted((Path(__file__).parents[2] / 'configs').glob('*.py'))


def leaves(node: Any, path: tuple = ()) -> dict[tuple, Any]:
    """Path to value of everything in a config that is neither a dict nor a list."""
    if isinstance(node, dict):
        items = node.items()
    elif isinstance(node, (list, tuple)):
        items = enumerate(node)
    else:
        return {path: node}
    return {key: value for name, inner in items for key, value in leaves(inner, (*path, name)).items()}


@pytest.fixture(params=CONFIGS, ids=lambda file: file.stem)
def pair(request: pytest.FixtureRequest) -> tuple[Config, Config]:
    """A config and its mini self."""
    config = Config.fromfile(request.param)
    mini = copy.deepcopy(config)
    apply_mini(mini)
    return config, mini


def test_model_losses_and_evaluators_stay(pair: tuple[Config, Config]) -> None:
    config, mini = pair
    before, after = leaves(config.model), leaves(mini.model)
    size = {key for key in before if key[:2] == ('data_preprocessor', 'size') or key[-2:] == ('sampler', 'num')}
    assert {key: value for key, value in before.items() if key not in size} == {
        key: value for key, value in after.items() if key not in size
    }
    for evaluator in ('val_evaluator', 'test_evaluator'):
        before = leaves(config[evaluator])
        before.pop(('ann_file',), None)
        after = leaves(mini[evaluator])
        after.pop(('ann_file',), None)
        assert before == after


def test_pipelines_keep_their_steps(pair: tuple[Config, Config]) -> None:
    config, mini = pair
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader', 'tta_pipeline'):
        before, after = leaves(config[name]), leaves(mini[name])
        assert {k: v for k, v in before.items() if k[-1] == 'type'} == {
            k: v for k, v in after.items() if k[-1] == 'type'
        }
        # What differs is where the data is, sizes, and the loader itself.
        changed = {key for key in before if before[key] != after.get(key)}
        known = {'data_root', 'batch_size', 'num_workers', 'persistent_workers', 'pin_memory'}
        sizes = {'scale', 'scales', 'crop_size'}
        for key in changed:
            assert key[-1] in known or sizes & set(key), key


def test_all_data_is_mini_data(pair: tuple[Config, Config]) -> None:
    _, mini = pair
    paths = [value for value in leaves(mini._cfg_dict).values() if str(value).startswith('data')]
    assert len(paths) >= 3
    assert all(path.startswith('data/mini/') for path in paths)
    assert not any(path.startswith('data/mini/mini') for path in paths)


def test_no_large_number_is_left(pair: tuple[Config, Config]) -> None:
    _, mini = pair
    loops = {'train_cfg': mini.train_cfg, 'param_scheduler': mini.param_scheduler}
    numbers = [v for v in leaves(loops).values() if isinstance(v, int) and not isinstance(v, bool)]
    assert max(numbers) <= SETTINGS[mini.default_scope].length + SETTINGS[mini.default_scope].warmup
    for split in ('train', 'val', 'test'):
        loader = mini[f'{split}_dataloader']
        assert loader.batch_size <= 32
        assert loader.num_workers == 0
    images = {
        key: value
        for name in ('train_dataloader', 'val_dataloader', 'test_dataloader', 'tta_pipeline')
        for key, value in leaves(mini[name]).items()
        if {'scale', 'scales', 'crop_size'} & set(key)
    }
    assert images
    assert all(0 < value <= 720 for value in images.values())


def test_schedule_is_whole(pair: tuple[Config, Config]) -> None:
    config, mini = pair
    unit = 'max_iters' if 'max_iters' in mini.train_cfg else 'max_epochs'
    length = mini.train_cfg[unit]
    if config.default_scope == 'mmdet':  # an epoch of COCO is a hundred of the mini data's
        assert length <= 1.5 * config.train_cfg[unit]
    else:
        assert length < config.train_cfg[unit]
    assert length % mini.train_cfg.val_interval == 0
    assert mini.default_hooks.checkpoint.interval == mini.train_cfg.val_interval
    for before, after in zip(config.param_scheduler, mini.param_scheduler):
        assert before.type == after.type
        assert before.get('begin', 0) == after.get('begin', 0) or after.begin >= 1
        assert after.end > after.get('begin', 0)
        for milestone in after.get('milestones', ()):
            assert 0 < milestone < length
    last = mini.param_scheduler[-1]
    assert last.end == length  # the rate comes down to where the recipe ends it


def test_crop_and_padding_agree() -> None:
    mini = Config.fromfile(CONFIGS[-1].with_name('upernet_sepvit_t_ade20k.py'))
    apply_mini(mini)
    crop = next(s for s in mini.train_dataloader.dataset.pipeline if s.type == 'RandomCrop')
    assert tuple(mini.model.data_preprocessor.size) == tuple(crop.crop_size)


def test_own_sizes_inside_choices() -> None:
    """The 3x recipe hides its sizes two lists down."""
    mini = Config.fromfile(CONFIGS[-1].with_name('mask_rcnn_sepvit_t_3x_coco.py'))
    apply_mini(mini)
    choice = next(s for s in mini.train_dataloader.dataset.pipeline if s.type == 'RandomChoice')
    shrink = SETTINGS['mmdet'].shrink
    first = choice.transforms[0][0].scales
    assert first[0] == (round(480 / shrink), round(1333 / shrink))
    assert choice.transforms[1][1].crop_size == (round(384 / shrink), round(600 / shrink))


def test_second_stages_train_on_fewer_regions() -> None:
    mini = load_config('mmdet::cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco')
    apply_mini(mini)
    assert [stage.sampler.num for stage in mini.model.train_cfg.rcnn] == [64, 64, 64]
    assert mini.model.train_cfg.rpn.sampler.num == 256  # of the pixels of one map: they cost nothing


def test_dense_queries_find_enough_pixels() -> None:
    """DINO takes 900 queries from its maps of strides 8 to 64."""
    mini = load_config('mmdet::dino/dino-4scale_r50_8xb2-12e_coco')
    apply_mini(mini)
    choice = next(s for s in mini.train_dataloader.dataset.pipeline if s.type == 'RandomChoice')
    side = min(size for scale in choice.transforms[0][0].scales for size in scale)
    assert sum(ceil(side / stride) ** 2 for stride in (8, 16, 32, 64)) >= mini.model.num_queries == 900
