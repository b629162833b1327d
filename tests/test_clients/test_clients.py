"""The packages' own clients, given one of our configs by its path, from another folder than the repository's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from PIL import Image
from random_runs import random_run

import mmsepvit
from mmsepvit.configs.load import load_config

SEG, DET, CLS = 'upernet_sepvit_lite_ade20k', 'mask_rcnn_sepvit_lite_1x_coco', 'sepvit_lite_imagenet'
Predict = Callable[[str], list[np.ndarray]]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope='module')
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[str, str]]:
    """Gives the config of a ``--mini`` work directory, and a checkpoint of random weights, for a config's name."""
    folder, made = tmp_path_factory.mktemp('runs'), {}

    def make(name: str) -> tuple[str, str]:
        if name not in made:
            made[name] = random_run(name, folder)
        init_default_scope(load_config(made[name][0]).default_scope)  # mmpretrain's keep that of whoever came before
        return made[name]

    return make


def segment(config: str, checkpoint: str) -> Predict:
    from mmseg.apis import MMSegInferencer

    inferencer = MMSegInferencer(config, checkpoint, classes='ade20k', palette='ade20k', device='cpu')
    return lambda image: [inferencer(image, return_datasamples=True).pred_sem_seg.data[0].numpy()]


def detect(config: str, checkpoint: str) -> Predict:
    from mmdet.apis import DetInferencer

    inferencer = DetInferencer(config, checkpoint, device='cpu', show_progress=False)

    def predict(image: str) -> list[np.ndarray]:
        instances = inferencer(image, return_datasamples=True, no_save_vis=True)['predictions'][0].pred_instances
        return [instances.scores.numpy(), instances.bboxes.numpy(), instances.masks.numpy()]

    return predict


def classify(config: str, checkpoint: str) -> Predict:
    from mmpretrain import ImageClassificationInferencer

    inferencer = ImageClassificationInferencer(config, pretrained=checkpoint, device='cpu')
    return lambda image: [inferencer(image)[0]['pred_scores']]


CLIENTS = {SEG: segment, DET: detect, CLS: classify}


@pytest.fixture(scope='module', params=CLIENTS)
def predict(request: pytest.FixtureRequest, files: Any) -> Predict:
    return CLIENTS[request.param](*files(request.param))


def odd_images(folder: Path) -> dict[str, tuple[str, str]]:
    """Name to the file of an odd image and that of a plain one with the same pixels."""
    rng = np.random.default_rng(0)
    pixels = cv2.resize(rng.integers(0, 255, (5, 7, 3), np.uint8), (84, 60), interpolation=cv2.INTER_CUBIC)
    pairs = {}

    def add(name: str, suffix: str, write: Callable[[str], Any], plain: np.ndarray) -> None:
        odd, same = str(folder / f'{name}{suffix}'), str(folder / f'{name}_plain.png')
        write(odd)
        Image.fromarray(plain).save(same)
        pairs[name] = odd, same

    alpha = rng.integers(0, 255, (60, 84, 1), np.uint8)
    add('rgba', '.png', Image.fromarray(np.concatenate([pixels, alpha], -1)).save, pixels)
    deep = pixels[..., ::-1].astype(np.uint16) * 257
    add('16-bit', '.png', lambda file: cv2.imwrite(file, deep), pixels)
    grey = pixels[..., 0]
    add('grey', '.png', Image.fromarray(grey).save, np.repeat(grey[..., None], 3, -1))
    add('1x1', '.png', Image.fromarray(pixels[:1, :1]).save, pixels[:1, :1])
    turned = Image.Exif()
    turned[0x0112] = 6  # Orientation: to be turned by a quarter, clockwise
    jpeg = folder / 'upright.jpg'
    Image.fromarray(pixels).save(jpeg, quality=95)
    upright = np.rot90(cv2.imread(str(jpeg))[..., ::-1], -1)
    add('exif', '.jpg', lambda file: Image.fromarray(pixels).save(file, quality=95, exif=turned), upright.copy())
    return pairs


@pytest.mark.parametrize('kind', ['rgba', '16-bit', 'grey', '1x1', 'exif'])
def test_an_odd_image_is_predicted_as_the_plain_one_with_its_pixels(
    kind: str, predict: Predict, tmp_path: Path
) -> None:
    odd, plain = odd_images(tmp_path)[kind]
    for found, wanted in zip(predict(odd), predict(plain)):
        assert found.size > 0
        np.testing.assert_array_equal(found, wanted)


def test_images_are_told_apart(predict: Predict, tmp_path: Path) -> None:
    """Else the equalities above would say nothing."""
    pairs = odd_images(tmp_path)
    one, other = (predict(pairs[kind][0])[0] for kind in ('rgba', 'grey'))
    assert one.shape != other.shape or (one != other).any()


@pytest.fixture(scope='module')
def photo(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp('photo') / 'photo.png'
    cv2.imwrite(str(file), np.random.default_rng(0).integers(0, 255, (60, 84, 3), np.uint8))
    return str(file)


@pytest.fixture(params=CLIENTS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def init(name: str, config: str, checkpoint: str) -> torch.nn.Module:
    if name == SEG:
        from mmseg.apis import init_model

        return init_model(config, checkpoint, device='cpu')
    if name == DET:
        from mmdet.apis import init_detector

        return init_detector(config, checkpoint, device='cpu')
    from mmpretrain import get_model

    return get_model(config, checkpoint, device='cpu')


def test_a_model_is_made_of_an_installed_config(name: str, files: Any) -> None:
    """As it is written in the documentation: by the name of the config, not that of a work directory."""
    _, checkpoint = files(name)
    model = init(name, mmsepvit.config(name), checkpoint)
    saved = torch.load(checkpoint)['state_dict']
    assert not model.training
    assert isinstance(model.backbone, mmsepvit.SepViT)
    assert model.state_dict().keys() == saved.keys()
    assert all(torch.equal(value, saved[key]) for key, value in model.state_dict().items())
    # Of the config, and of one kind on top or in the model.
    assert model.data_preprocessor.mean.flatten().tolist() == pytest.approx([123.675, 116.28, 103.53])


@pytest.mark.parametrize('package', ['mmseg', 'mmdet'])
def test_inference_by_function_is_that_of_the_inferencer(package: str, files: Any, photo: str) -> None:
    name = {'mmseg': SEG, 'mmdet': DET}[package]
    model = init(name, *files(name))
    wanted = CLIENTS[name](*files(name))(photo)[0]
    if package == 'mmseg':
        from mmseg.apis import inference_model

        found = inference_model(model, photo).pred_sem_seg.data[0]
    else:
        from mmdet.apis import inference_detector

        found = inference_detector(model, photo).pred_instances.scores
    np.testing.assert_array_equal(found.numpy(), wanted)


def test_mmpretrain_finds_our_classifiers_by_name(files: Any, photo: str) -> None:
    _, checkpoint = files(CLS)
    from mmpretrain import get_model, inference_model, list_models

    for _ in range(2):
        mmsepvit.register_with_mmpretrain()
    assert {'sepvit_lite_imagenet', 'sepvit_t_imagenet'} <= set(list_models('sepvit*'))
    model = get_model(CLS, pretrained=checkpoint)
    wanted = classify(mmsepvit.config(CLS), checkpoint)(photo)[0]
    np.testing.assert_array_equal(inference_model(model, photo)['pred_scores'], wanted)
    with pytest.raises(ValueError, match='Failed to find model'):
        get_model('upernet_sepvit_t_ade20k')  # mmpretrain could not build it
