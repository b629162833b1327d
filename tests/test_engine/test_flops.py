"""The counts against the paper's figures, against its cost formula, and the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from mmengine.config import Config

from mmsepvit import SepViT
from mmsepvit.cli.command import run_command
from mmsepvit.cli.get_flops import main as get_flops
from mmsepvit.errors import UserError
from mmsepvit.evaluation.flops import Count, ModelCount, count_config, format_table, with_total

CONFIGS = Path(__file__).parents[2] / 'configs'

# Parameters (M) and FLOPs (G) as published: ImageNet at 224 in all versions of arXiv 2203.15380, ADE20K at 512x2048 and
# COCO at 800x1280 in its v2 and v3.
PUBLISHED = {
    'sepvit_lite_imagenet': (3.66, 0.57),
    'sepvit_t_imagenet': (31.18, 4.52),
    'sepvit_s_imagenet': (46.57, 7.46),
    'sepvit_b_imagenet': (82.38, 13.06),
    'fpn_sepvit_t_ade20k': (38.8, 181),
    'fpn_sepvit_s_ade20k': (55.4, 244),
    'fpn_sepvit_b_ade20k': (94.7, 367),
    'upernet_sepvit_t_ade20k': (66.8, 940),
    'upernet_sepvit_s_ade20k': (83.4, 1003),
    'upernet_sepvit_b_ade20k': (124.8, 1128),
    'retinanet_sepvit_t_1x_coco': (45.4, 243),
    'retinanet_sepvit_s_1x_coco': (61.9, 302),
    'mask_rcnn_sepvit_t_1x_coco': (54.7, 261),
    'mask_rcnn_sepvit_s_1x_coco': (71.3, 321),
}


@cache
def counted(name: str, shape: tuple[int, int] | None = None) -> ModelCount:
    return count_config(Config.fromfile(CONFIGS / f'{name}.py'), shape)


def changed(name: str, **options: object) -> Config:
    config = Config.fromfile(CONFIGS / f'{name}.py')
    config.merge_from_dict({f'model.{key.replace("__", ".")}': value for key, value in options.items()})
    return config


@pytest.mark.parametrize('name', PUBLISHED)
def test_published_parameters(name: str) -> None:
    assert with_total(counted(name).paper)['model'].params / 1e6 == pytest.approx(PUBLISHED[name][0], rel=0.01)


@pytest.mark.parametrize('name', PUBLISHED)
def test_published_flops(name: str) -> None:
    assert with_total(counted(name).paper)['model'].macs / 1e9 == pytest.approx(PUBLISHED[name][1], rel=0.01)


@pytest.mark.parametrize(
    ('name', 'backbone', 'rest'),
    [('upernet_sepvit_t_ade20k', 94.7, 845.4), ('mask_rcnn_sepvit_t_1x_coco', 90.3, 171.0)],
)
def test_published_flops_of_backbone_and_rest(name: str, backbone: float, rest: float) -> None:
    paper = with_total(counted(name).paper)
    assert paper['backbone'].macs / 1e9 == pytest.approx(backbone, abs=0.05)
    assert (paper['model'].macs - paper['backbone'].macs) / 1e9 == pytest.approx(rest, abs=0.05)


def test_schedules_count_alike() -> None:
    assert counted('mask_rcnn_sepvit_t_3x_coco') == counted('mask_rcnn_sepvit_t_1x_coco')


def test_full_counts_what_the_model_has() -> None:
    count = counted('upernet_sepvit_t_ade20k')
    model = with_total(count.full)['model']
    assert model.params == 66_076_556  # of EncoderDecoder.parameters(), auxiliary head included
    assert count.full['auxiliary_head'].convolution > 3e9
    assert count.full['backbone'].attention > 17e9
    assert count.paper['auxiliary_head'].macs == count.paper['backbone'].attention == 0


def test_split_follows_the_cost_formula() -> None:
    """At 224 no map needs padding, so the paper's formula for DSA and PSA holds to the last product."""
    backbone = SepViT.arch_zoo['tiny']
    linear = attention = convolution = 0
    for stage, c in enumerate(backbone['channels']):
        hw = (56 // 2**stage) ** 2
        kernel, c_in = (3, backbone['channels'][stage - 1]) if stage else (7, 3)
        convolution += hw * c * (kernel**2 * c_in + 9)
        for m in backbone['window_sizes'][stage]:
            n = hw // m**2
            linear += 3 * hw * c**2 + 3 * n * c**2 + hw * c**2 + 2 * n * c**2 + 8 * hw * c**2
            attention += 2 * n * (m**2 + 1) ** 2 * c + n**2 * c + n * hw * c
    got = counted('fpn_sepvit_t_ade20k', (224, 224)).full['backbone']
    assert (got.linear, got.convolution, got.attention) == (linear, convolution, attention)


@pytest.mark.parametrize('options', [{'backbone__frozen_stages': 4}, {'backbone__with_cp': True}], ids=str)
def test_training_options_change_no_count(options: dict) -> None:
    assert count_config(changed('fpn_sepvit_t_ade20k', **options)) == counted('fpn_sepvit_t_ade20k')


def test_huge_image_costs_no_memory() -> None:
    """An image of 16384 pixels a side would need some hundred GB with numbers in it."""
    small, large = (counted('sepvit_lite_imagenet', (side, side)).full['backbone'] for side in (256, 16384))
    assert large.convolution == 64**2 * small.convolution
    assert large.attention > 1000 * 64**2 * small.attention / 64  # more than linear: PSA is quadratic in the windows


@pytest.mark.parametrize('bands', [1, 4, 12])
def test_images_of_other_bands(bands: int) -> None:
    config = changed('fpn_sepvit_t_ade20k', backbone__in_channels=bands)
    more = count_config(config, (64, 64)).full
    three = counted('fpn_sepvit_t_ade20k', (64, 64)).full
    # Of the first embedding alone: 96 filters of 7x7 at 16x16 places.
    assert more['backbone'].params - three['backbone'].params == (bands - 3) * 96 * 49
    assert more['backbone'].convolution - three['backbone'].convolution == (bands - 3) * 96 * 49 * 16 * 16
    assert more['decode_head'] == three['decode_head']


def test_other_backbone_of_other_bands() -> None:
    config = changed('fpn_sepvit_t_ade20k', neck__in_channels=[64, 128, 256, 512])
    config.model.backbone = {'type': 'mmpretrain.ResNet', 'depth': 18, 'in_channels': 5, 'out_indices': (0, 1, 2, 3)}
    assert count_config(config, (64, 64)).full['backbone'].params == 11_176_512 + 2 * 64 * 49


def test_other_backbone_has_no_paper_convention() -> None:
    config = changed('fpn_sepvit_t_ade20k', neck__in_channels=[64, 128, 256, 512])
    config.model.backbone = {'type': 'mmpretrain.ResNet', 'depth': 18, 'out_indices': (0, 1, 2, 3)}
    count = count_config(config)
    assert count.paper is None
    assert count.full['backbone'].params == 11_176_512
    assert format_table(count).splitlines()[-1].split()[-1] == '-'


def test_two_auxiliary_heads_are_refused() -> None:
    config = changed('upernet_sepvit_t_ade20k')
    config.model.auxiliary_head = [config.model.auxiliary_head] * 2
    with pytest.raises(UserError, match='EncoderDecoder cannot be counted: auxiliary_head'):
        count_config(config)


def test_parts_that_do_not_fit_are_named() -> None:
    with pytest.raises(UserError, match=r'model\.decode_head cannot be run on what it gets from 3 bands of 64x96'):
        count_config(changed('upernet_sepvit_t_ade20k', backbone__arch='lite'), (64, 96))


def test_count_adds_up() -> None:
    total = Count(1, 2, 3, 4) + Count(10, 20, 30, 40)
    assert total == Count(11, 22, 33, 44)
    assert total.macs == 99


def test_command_prints_json(capsys: pytest.CaptureFixture) -> None:
    config = str(CONFIGS / 'sepvit_t_imagenet.py')
    options = ['--shape', '384', '256', '--json', '--cfg-options', 'model.backbone.arch=small']
    assert run_command(get_flops, [config, *options]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result['shape'] == [384, 256]
    assert result['full'] == result['paper']
    assert result['full']['model']['params'] == 46_570_504
    kinds = ('linear', 'convolution', 'attention')
    assert sum(result['full']['model'][kind] for kind in kinds) == result['full']['model']['macs']
    assert result['full']['backbone']['macs'] + 768_000 == result['full']['model']['macs']


def test_command_prints_table(capsys: pytest.CaptureFixture) -> None:
    assert run_command(get_flops, [str(CONFIGS / 'upernet_sepvit_t_ade20k.py')]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith('upernet_sepvit_t_ade20k.py at 512x2048 (height x width), one image')
    model = next(line for line in lines if line.startswith('model'))
    assert model.split()[1:] == ['66.077', '66.847', '85.550', '858.356', '17.844', '961.750', '940.125']
    assert 'docs/counting.md' in lines[-1]


@pytest.mark.parametrize('shape', [['0', '224'], ['x', '224'], ['224']])
def test_command_refuses_shape(shape: list[str], capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as error:
        get_flops([str(CONFIGS / 'sepvit_t_imagenet.py'), '--shape', *shape])
    assert error.value.code == 2
    assert '--shape' in capsys.readouterr().err


def test_script_tells_of_a_config_that_is_not_there(tmp_path: Path) -> None:
    script = CONFIGS.parent / 'tools' / 'get_flops.py'
    done = subprocess.run([sys.executable, script, 'sepvit_t_imagnet.py'], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "config 'sepvit_t_imagnet.py' does not exist. Did you mean" in done.stderr
    assert 'Traceback' not in done.stderr
