"""`type='mmsepvit.SepViT'` resolves in every OpenMMLab package, from anywhere, and trains inside their models."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SEGMENTOR = """
import numpy as np, torch
from mmseg.registry import MODELS
from mmengine.registry import init_default_scope
init_default_scope('mmseg')
from mmengine.config import ConfigDict
from mmseg.structures import SegDataSample
from mmengine.structures import PixelData

norm = dict(type='BN')
model = MODELS.build(dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
                           bgr_to_rgb=True, size=(64, 64), pad_val=0, seg_pad_val=255),
    backbone=dict(type='mmsepvit.SepViT', arch='lite'),
    decode_head=dict(type='UPerHead', in_channels=[32, 64, 128, 256], in_index=[0, 1, 2, 3], pool_scales=(1, 2, 3, 6),
                     channels=16, num_classes=5, norm_cfg=norm, align_corners=False,
                     loss_decode=dict(type='CrossEntropyLoss')),
    train_cfg=ConfigDict(), test_cfg=ConfigDict(mode='whole')))
samples = []
for _ in range(2):
    sample = SegDataSample(metainfo=dict(img_shape=(64, 64), ori_shape=(64, 64), pad_shape=(64, 64)))
    sample.gt_sem_seg = PixelData(data=torch.randint(0, 5, (1, 64, 64)))
    samples.append(sample)
data = dict(inputs=[torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8) for _ in samples], data_samples=samples)
def check(predictions):
    assert predictions[0].pred_sem_seg.data.shape == (1, 64, 64)
"""

DETECTOR = """
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
init_default_scope('mmdet')
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.structures import InstanceData
import mmdet, os, numpy as np

base = os.path.join(os.path.dirname(mmdet.__file__), '.mim', 'configs', '_base_', 'models', 'mask-rcnn_r50_fpn.py')
cfg = Config.fromfile(base).model
cfg.backbone = dict(type='mmsepvit.SepViT', arch='lite')
cfg.neck.in_channels = [32, 64, 128, 256]
model = MODELS.build(cfg)
samples = []
for _ in range(2):
    sample = DetDataSample(metainfo=dict(img_shape=(96, 128), ori_shape=(96, 128), pad_shape=(96, 128),
                                         batch_input_shape=(96, 128), scale_factor=(1., 1.)))
    masks = np.zeros((1, 96, 128), np.uint8)
    masks[0, 20:60, 30:80] = 1
    sample.gt_instances = InstanceData(bboxes=torch.tensor([[30., 20., 80., 60.]]), labels=torch.tensor([3]),
                                       masks=BitmapMasks(masks, 96, 128))
    samples.append(sample)
data = dict(inputs=[torch.randint(0, 256, (3, 96, 128), dtype=torch.uint8) for _ in samples], data_samples=samples)
def check(predictions):
    assert predictions[0].pred_instances.bboxes.shape[1] == 4
"""

CLASSIFIER = """
import torch
from mmpretrain.registry import MODELS
from mmengine.registry import init_default_scope
init_default_scope('mmpretrain')
from mmpretrain.structures import DataSample

model = MODELS.build(dict(
    type='ImageClassifier',
    backbone=dict(type='mmsepvit.SepViT', arch='lite', out_indices=(3,), window_token='learnable',
                  single_window_psa=False),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=256)))
samples = [DataSample().set_gt_label(i) for i in range(2)]
data = dict(inputs=[torch.randint(0, 256, (3, 224, 224), dtype=torch.uint8) for _ in samples], data_samples=samples)
def check(predictions):
    assert predictions[0].pred_score.shape == (10,)
"""

# What comes before names neither mmsepvit's import nor custom_imports.
COMMON = """
import sys
assert 'mmsepvit.models' in sys.modules and type(model.backbone).__module__ == 'mmsepvit.models.sepvit'
model.init_weights()
model.train()
losses, _ = model.parse_losses(model(**model.data_preprocessor(data, training=True), mode='loss'))
losses.backward()
for name, parameter in model.named_parameters():
    assert parameter.grad is not None and parameter.grad.isfinite().all(), name
model.eval()
with torch.no_grad():
    check(model(**model.data_preprocessor(data, training=False), mode='predict'))
print('trained and predicted')
"""

ROOT = """
from mmengine.registry import MODELS
assert MODELS.get('SepViT') is None
import mmsepvit
assert MODELS.get('SepViT') is mmsepvit.SepViT
from mmdet.registry import MODELS as MMDET_MODELS
assert MMDET_MODELS.get('SepViT') is mmsepvit.SepViT is MMDET_MODELS.get('mmsepvit.SepViT')
print('resolved')
"""

LIGHT = """
import sys, mmsepvit
heavy = {'mmcv', 'mmdet', 'mmseg', 'mmpretrain', 'matplotlib', 'pycocotools'} & set(sys.modules)
assert not heavy, heavy
from mmsepvit import SepViT
SepViT('lite')
assert 'mmcv' not in sys.modules
print('light')
"""


def run(code: str, cwd: Path) -> str:
    """Runs code as a user's script would, in a fresh process and another working directory."""
    done = subprocess.run([sys.executable, '-c', code], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize('task', [SEGMENTOR, DETECTOR, CLASSIFIER], ids=['EncoderDecoder', 'MaskRCNN', 'Classifier'])
def test_inside_the_packages(task: str, tmp_path: Path) -> None:
    assert 'trained and predicted' in run(task + COMMON, tmp_path)


def test_bare_name_after_import(tmp_path: Path) -> None:
    assert 'resolved' in run(ROOT, tmp_path)


def test_import_needs_torch_and_mmengine_alone(tmp_path: Path) -> None:
    assert 'light' in run(LIGHT, tmp_path)
