from __future__ import annotations

import copy
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from torch.optim import AdamW

from mmsepvit.config_tree import datasets_of
from mmsepvit.configs.load import load_config
from mmsepvit.configs.mini import SETTINGS, apply_mini
from mmsepvit.datasets.mini import Counts
from mmsepvit.errors import UserError

CONFIGS = sorted((Path(__file__).parents[2] / 'configs').glob('*.py'))
READING = {'train_dataloader', 'val_dataloader', 'test_dataloader', 'tta_pipeline'}


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
    # A teacher's weights are not there either.
    left_out = {('data_preprocessor', 'size'), ('teachers', 'init_cfg')}
    size = {key for key in {*before, *after} if key[:2] in left_out or key[-2:] == ('sampler', 'num')}
    assert {key: value for key, value in before.items() if key not in size} == {
        key: value for key, value in after.items() if key not in size
    }
    for evaluator in {'val_evaluator', 'test_evaluator'} & config.keys():
        before, after = leaves(config[evaluator]), leaves(mini[evaluator])
        assert before.keys() == after.keys()
        assert {key for key in before if before[key] != after[key]} <= {('ann_file',)}


def test_pipelines_keep_their_steps(pair: tuple[Config, Config]) -> None:
    config, mini = pair
    for name in READING & config.keys():
        before, after = leaves(config[name]), leaves(mini[name])
        assert {k: v for k, v in before.items() if k[-1] == 'type'} == {
            k: v for k, v in after.items() if k[-1] == 'type'
        }
        # What differs is where the data is, sizes, and the loader itself.
        changed = {key for key in before if before[key] != after.get(key)}
        known = {'data_root', 'batch_size', 'num_workers', 'persistent_workers', 'pin_memory'}
        sizes = {'scale', 'scales', 'crop_size', 'size', 'ratio_range'}
        for key in changed:
            assert key[-1] in known or sizes & set(key), key


def test_all_data_is_mini_data(pair: tuple[Config, Config]) -> None:
    _, mini = pair
    paths = [value for value in leaves(mini._cfg_dict).values() if str(value).startswith('data')]
    assert len(paths) >= (3 if 'val_dataloader' in mini else 1)
    assert all(path.startswith('data/mini/') for path in paths)
    assert not any(path.startswith('data/mini/mini') for path in paths)


def test_a_config_is_at_one_with_itself(pair: tuple[Config, Config]) -> None:
    """What stands at the top is what the dataloaders have, as in the config itself."""
    config, mini = pair
    for one in (config, mini):
        for split, name in (('train', 'train_pipeline'), ('val', 'test_pipeline'), ('test', 'test_pipeline')):
            for _, dataset in datasets_of((one.get(f'{split}_dataloader') or {}).get('dataset')):
                assert dataset.pipeline == one[name]
                assert dataset.data_root == one.get('data_root', dataset.data_root)


def test_no_large_number_is_left(pair: tuple[Config, Config]) -> None:
    _, mini = pair
    loops = {'train_cfg': mini.train_cfg, 'param_scheduler': mini.param_scheduler}
    numbers = [v for v in leaves(loops).values() if isinstance(v, int) and not isinstance(v, bool)]
    assert max(numbers) <= SETTINGS[mini.default_scope].length + SETTINGS[mini.default_scope].warmup
    for loader in (mini[name] for name in mini.keys() & {f'{split}_dataloader' for split in ('train', 'val', 'test')}):
        assert loader.batch_size <= 32
        assert loader.num_workers == 0
    images = {
        key: value
        for name in READING & mini.keys()
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
    if config.param_scheduler[-1].end == config.train_cfg[unit]:
        assert mini.param_scheduler[-1].end == length  # the rate comes down to where the recipe ends it


def test_sizes_vary_less() -> None:
    mini = Config.fromfile(CONFIGS[-1].with_name('upernet_sepvit_t_ade20k.py'))
    apply_mini(mini)
    (resize,) = [step for step in mini.train_pipeline if step.type == 'RandomResize']
    assert resize.ratio_range == pytest.approx((0.5**0.5, 2**0.5))


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


# Dataset classes of configs that packages ship, and how many pictures of the mini data they read for training.
SHIPPED = {
    'mmseg::deeplabv3plus/deeplabv3plus_r50-d8_4xb2-40k_cityscapes-512x1024.py': 1,
    'mmseg::deeplabv3plus/deeplabv3plus_r50-d8_4xb4-20k_voc12aug-512x512.py': 2,  # two lists in a ConcatDataset
    'mmdet::pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py': 6,  # the same, three times in a RepeatDataset
    'mmdet::yolox/yolox_tiny_8xb8-300e_coco.py': 1,  # in a MultiImageMixDataset
    'mmpretrain::resnet/resnet50_8xb32_in1k.py': 1,
}


@pytest.mark.parametrize('name', SHIPPED)
def test_whatever_class_a_config_names(name: str, in_mini_root: Path) -> None:
    mini = load_config(name)
    apply_mini(mini)
    init_default_scope(mini.default_scope)
    for split, count in (('train', Counts().train), ('val', Counts().val)):
        dataset = DATASETS.build(mini[f'{split}_dataloader'].dataset)
        if mini.default_scope == 'mmpretrain':
            count = {'train': 8 * Counts().class_train, 'val': 8 * Counts().class_val}[split]
        # Detectors leave out images without an object in training.
        assert 0.75 * count * (SHIPPED[name] if split == 'train' else 1) <= len(dataset)
        assert len(dataset) <= count * SHIPPED[name]
        assert min(dataset[0]['inputs'].shape[1:]) > 16


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('mmpretrain::resnet/resnet18_8xb16_cifar10.py', 'CIFAR10 (train_dataloader.dataset)'),
        (
            'mmdet::lvis/mask-rcnn_r50_fpn_sample1e-3_ms-1x_lvis-v1.py',
            'LVISV1Dataset (train_dataloader.dataset.dataset)',
        ),
        ('mmseg::deeplabv3plus/deeplabv3plus_r50-d8_4xb4-40k_pascal-context-480x480.py', 'PascalContextDataset'),
        ('mmdet::htc/htc_r50_fpn_1x_coco.py', 'CocoDataset has nothing for train_dataloader.dataset.data_prefix.seg'),
        ('mmdet::fast_rcnn/fast-rcnn_r50_fpn_1x_coco.py', 'CocoDataset has nothing for train_dataloader.dataset.prop'),
    ],
)
def test_what_cannot_be_made_is_said_in_a_line(name: str, words: str) -> None:
    mini = load_config(name)
    with pytest.raises(UserError) as caught:
        apply_mini(mini)
    assert words in str(caught.value)
    assert 'CocoDataset' in str(caught.value)
    assert '\n' not in str(caught.value)


@pytest.fixture
def upernet() -> Config:
    return load_config(str(CONFIGS[0].with_name('upernet_sepvit_t_ade20k.py')))


@pytest.mark.parametrize('spelling', ['ADE20KDataset', 'mmseg.ADE20KDataset', 'class', 'subclass'])
def test_a_class_is_known_however_it_is_named(spelling: str, upernet: Config, in_mini_root: Path) -> None:
    from mmseg.datasets import ADE20KDataset

    class Renamed(ADE20KDataset):
        """Reads what its parent reads."""

    kind: Any = {'class': ADE20KDataset, 'subclass': Renamed}.get(spelling, spelling)
    for loader in (upernet.train_dataloader, upernet.val_dataloader, upernet.test_dataloader):
        loader.dataset.update(type=kind, data_root='/my/own/disk', data_prefix={'img_path': 'a', 'seg_map_path': 'b'})
    apply_mini(upernet)
    init_default_scope('mmseg')
    assert len(DATASETS.build(upernet.train_dataloader.dataset)) == Counts().train
    assert len(DATASETS.build(upernet.val_dataloader.dataset)) == Counts().val


def test_own_ways_of_reading_and_own_classes_are_refused(upernet: Config) -> None:
    from mmseg.datasets import ADE20KDataset

    class Mine(ADE20KDataset):
        """Reads other files."""

        def load_data_list(self) -> list[dict]:
            return []

    own = copy.deepcopy(upernet)
    own.train_dataloader.dataset.type = Mine
    with pytest.raises(UserError, match='makes no data that Mine'):
        apply_mini(own)
    upernet.train_dataloader.dataset.metainfo = {'classes': ('bolt', 'nut')}
    with pytest.raises(UserError, match=r'train_dataloader\.dataset\.metainfo asks for others'):
        apply_mini(upernet)


@pytest.mark.parametrize('kind', ['AdamW', 'torch.optim.AdamW', AdamW])
def test_the_rate_of_an_adam(kind: Any, upernet: Config) -> None:
    upernet.optim_wrapper.optimizer.type = kind
    apply_mini(upernet)
    assert upernet.optim_wrapper.optimizer.lr == SETTINGS['mmseg'].lr
