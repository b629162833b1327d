"""``tools/export.py``: files that agree with PyTorch are written, and no others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmsepvit.cli.export import main as export
from mmsepvit.errors import UserError
from mmsepvit.export.networks import Logits
from mmsepvit.export.quantize import quantize_onnx
from mmsepvit.export.runtimes import open_file
from mmsepvit.export.write import write_onnx

MICRO = dict(channels=(8, 16), depths=(1, 2), num_heads=(2, 2), window_sizes=((3,), (2, 4)))
CONFIGS = {
    'cls': dict(
        default_scope='mmpretrain',
        data_preprocessor=dict(num_classes=5, mean=[120.0] * 3, std=[60.0] * 3, to_rgb=True),
        model=dict(
            type='ImageClassifier',
            backbone=dict(type='mmsepvit.SepViT', arch=MICRO, out_indices=(1,), window_token='learnable'),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=5, in_channels=16),
        ),
    ),
    'seg': dict(
        default_scope='mmseg',
        model=dict(
            type='EncoderDecoder',
            data_preprocessor=dict(type='SegDataPreProcessor', mean=[120.0] * 3, std=[60.0] * 3, bgr_to_rgb=True),
            backbone=dict(type='mmsepvit.SepViT', arch=MICRO, out_indices=(0, 1)),
            decode_head=dict(
                type='FPNHead',
                in_channels=[8, 16],
                in_index=[0, 1],
                feature_strides=[4, 8],
                channels=8,
                num_classes=5,
                norm_cfg=dict(type='SyncBN'),
            ),
            test_cfg=dict(mode='whole'),
        ),
    ),
}
FIXED = ('--shape', '40', '56')


@pytest.fixture(scope='module', params=CONFIGS)
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, str, torch.nn.Module]:
    """A config, a checkpoint of it, and the model."""
    folder = tmp_path_factory.mktemp('trained')
    config = Config(CONFIGS[request.param])
    config.dump(folder / 'config.py')
    model_config = config.model.copy()
    if request.param == 'seg':
        model_config.decode_head.norm_cfg.type = 'BN'
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(config.default_scope):
        model = MODELS.build(model_config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0.2, 0.3)
    torch.save({'state_dict': model.state_dict(), 'meta': {}}, folder / 'trained.pth')
    return str(folder / 'config.py'), str(folder / 'trained.pth'), model


def run(trained: tuple, out: Path, *options: str) -> None:
    export([*trained[:2], str(out), '--work-dir', str(out.parent / 'work'), *options])


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize(
    ('backend', 'name', 'options'),
    [
        ('onnxruntime', 'f.onnx', ('--dynamic', 'size')),
        ('openvino', 'f.xml', ()),
        ('torchscript', 'f.pt', ()),
    ],
)
def test_a_file_computes_what_the_model_does(
    trained: tuple, backend: str, name: str, options: tuple, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(trained, tmp_path / name, '--backend', backend, *FIXED, *options)
    assert {path.name for path in tmp_path.iterdir()} - {'work'} == {
        name,
        *(('f.bin',) if backend == 'openvino' else ()),
    }
    printed = capsys.readouterr().out
    assert '1x3x40x56' in printed
    assert ('2x3x31x31' in printed) == (options != ())
    images = torch.rand(1, 3, 40, 56)
    found = open_file(tmp_path / name, backend)(images.numpy())
    model = trained[2]
    with torch.no_grad():
        wanted = [model(images, mode='tensor')] if hasattr(model, 'head') else model.backbone(images)
    assert len(found) == len(wanted)
    for out, exact in zip(found, wanted):
        np.testing.assert_allclose(out, exact, atol=1e-4)


@pytest.mark.filterwarnings('ignore')
def test_a_file_that_does_not_agree_is_not_written(trained: tuple, tmp_path: Path) -> None:
    if hasattr(trained[2], 'head'):
        pytest.skip("mmseg's upsampling is what is bound to a size")
    out = tmp_path / 'f.onnx'
    with pytest.raises(UserError, match=r"f\.onnx' is not written"):
        run(trained, out, '--part', 'model', '--dynamic', 'size', *FIXED)
    assert not [path for path in tmp_path.iterdir() if path.name != 'work']
    run(trained, out, '--part', 'model', *FIXED)
    assert out.is_file()


def test_mistakes(trained: tuple, tmp_path: Path) -> None:
    for options, message in (
        (('f.pt',), r'is to end in \.onnx'),
        (('f.pt', '--backend', 'torchscript', '--precision', 'fp16'), 'writes fp32 alone'),
        (('f.xml', '--backend', 'openvino', '--dynamic', 'size'), 'OpenVINO 2025.3 and 2026.4 compute wrong'),
        (('f.onnx', '--check', 'nothing.png', *FIXED), "--check 'nothing.png' is missing"),
    ):
        with pytest.raises(UserError, match=message):
            run(trained, tmp_path / options[0], *options[1:])
    assert not list(tmp_path.glob('f.*'))


@pytest.mark.filterwarnings('ignore')
def test_int8_keeps_what_the_network_says(trained: tuple, tmp_path: Path) -> None:
    if not hasattr(trained[2], 'head'):
        pytest.skip('once is enough')
    file, images = tmp_path / 'f.onnx', torch.rand(1, 3, 40, 56)
    network = Logits(trained[2])
    write_onnx(network, images, file, network.outputs)
    size = file.stat().st_size
    exact = open_file(file, 'onnxruntime')(images.numpy())[0]
    quantize_onnx(file, [torch.rand(1, 3, 40, 56).numpy() for _ in range(4)])
    assert file.stat().st_size != size
    found = open_file(file, 'onnxruntime')(images.numpy())[0]
    assert not np.array_equal(found, exact)
    cosine = (found * exact).sum() / np.linalg.norm(found) / np.linalg.norm(exact)
    assert cosine > 0.97
