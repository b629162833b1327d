"""What the page says of an image: that of the packages' clients, with times, and an exported file beside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from random_runs import random_run
from torch import nn

import mmsepvit
from mmsepvit.configs.load import load_config
from mmsepvit.errors import UserError
from mmsepvit.export.runtimes import open_file
from mmsepvit.web.prediction import Predictor

NAMES = ('upernet_sepvit_lite_ade20k', 'mask_rcnn_sepvit_lite_1x_coco', 'sepvit_lite_imagenet')


@pytest.fixture
def photo(tmp_path: Path) -> str:
    file = tmp_path / 'photo.png'
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 84, 3), np.uint8)).save(file)
    return str(file)


@pytest.fixture(scope='module')
def predictor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    config, checkpoint = random_run(request.param, tmp_path_factory.mktemp('run'))
    return Predictor(load_config(config), checkpoint)


@pytest.mark.parametrize('predictor', NAMES, indirect=True)
def test_an_image_is_predicted_and_timed(predictor: Predictor, photo: str) -> None:
    found = predictor(photo)
    assert found.picture.shape == (60, 84, 3)
    assert found.picture.dtype == np.uint8
    assert 0 < len(found.classes) <= 8
    values = list(found.classes.values())
    assert values == sorted(values, reverse=True)
    assert all(0 < value <= 1 for value in values)
    assert [timing.name for timing in found.timings] == ['PyTorch, whole model', 'PyTorch, backbone']
    assert all(timing.milliseconds > 0 for timing in found.timings)


@pytest.mark.parametrize('predictor', NAMES[2:], indirect=True)
def test_the_classes_are_those_of_the_model(predictor: Predictor, photo: str) -> None:
    from mmpretrain import ImageClassificationInferencer

    best = ImageClassificationInferencer(predictor.model)(photo)[0]
    name, score = next(iter(predictor(photo).classes.items()))
    assert name == best['pred_class']
    assert score == pytest.approx(best['pred_score'])


@pytest.mark.parametrize('predictor', NAMES[:1], indirect=True)
def test_the_attention_is_that_of_every_block(predictor: Predictor, photo: str) -> None:
    image, attentions = predictor.attention(photo)
    assert image.shape == (366, 512, 3)
    assert [attention.name for attention in attentions] == list(predictor.heads)
    assert [attention.dsa.shape[1] for attention in attentions] == list(predictor.heads.values())


def package_weights() -> Config:
    config = load_config(mmsepvit.config(NAMES[0]))
    config.model.backbone.init_cfg = dict(
        type='Pretrained', checkpoint='mmsepvit://sepvit_lite_distilled', prefix='backbone.'
    )
    return config


@pytest.mark.parametrize('size', [(1, 1), (3, 2), (84, 60)])
def test_weights_without_a_head_show_their_features(size: tuple[int, int], tmp_path: Path) -> None:
    file = tmp_path / 'photo.png'
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (*size[::-1], 3), np.uint8)).save(file)
    predictor = Predictor(package_weights(), None)
    found = predictor(str(file))
    assert found.picture.shape == predictor.attention(str(file))[0].shape
    assert found.classes == {}
    assert [timing.name for timing in found.timings] == ['PyTorch, backbone']
    if size == (84, 60):
        assert found.picture.std(axis=(0, 1)).min() > 1


def micro() -> Config:
    config = package_weights()
    arch = dict(channels=(8, 16, 32), depths=(1, 1, 1), num_heads=(1, 2, 4), window_sizes=((3,), (2,), (2,)))
    config.model.backbone = dict(type='mmsepvit.SepViT', arch=arch, out_indices=(0, 1, 2))
    return config


def exported(backbone: nn.Module, folder: Path, dynamic: bool) -> Path:
    pytest.importorskip('onnx')
    pytest.importorskip('onnxruntime')
    axes = dict(dynamic_axes={'images': {0: 'batch', 2: 'height', 3: 'width'}}) if dynamic else {}
    legacy: dict[str, Any] = {'dynamo': False} if torch.__version__ >= '2.5' else {}
    file = folder / 'backbone.onnx'
    torch.onnx.export(
        backbone, (torch.rand(1, 3, 64, 64),), str(file), opset_version=17, input_names=['images'], **axes, **legacy
    )
    return file


def test_an_exported_backbone_is_compared_and_timed(photo: str, tmp_path: Path) -> None:
    predictor = Predictor(micro(), None)
    predictor.exported = open_file(exported(predictor.model, tmp_path, dynamic=True), 'onnxruntime')
    eager, file = predictor(photo).timings
    assert eager.difference is None
    assert file.name.startswith('ONNX Runtime')
    assert file.difference < 1e-3
    with torch.no_grad():
        predictor.backbone.norm2.bias += 1
    assert predictor(photo).timings[1].difference > 0.1


def test_an_exported_file_of_one_size_says_so(photo: str, tmp_path: Path) -> None:
    predictor = Predictor(micro(), None)
    predictor.exported = open_file(exported(predictor.model, tmp_path, dynamic=False), 'onnxruntime')
    with pytest.raises(UserError, match=r'\(1, 3, 64, 64\) alone, and this one comes to it as \(1, 3, 366, 512\)'):
        predictor(photo)


def test_an_exported_file_that_is_none_is_refused(tmp_path: Path) -> None:
    pytest.importorskip('onnxruntime')
    with pytest.raises(UserError, match=r"cannot read 'nowhere\.onnx'.*File doesn't exist"):
        Predictor(package_weights(), None, 'nowhere.onnx')
    (tmp_path / 'text.onnx').write_text('hello')
    with pytest.raises(UserError, match=r"cannot read '.*text\.onnx'"):
        Predictor(package_weights(), None, str(tmp_path / 'text.onnx'))
