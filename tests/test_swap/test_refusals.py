"""What cannot work is refused with its reason, and never becomes a broken config."""

from __future__ import annotations

import pytest

from mmsepvit.configs.swap import SwapRefused, swap_backbone
from mmsepvit.errors import UserError

REFUSED = {
    'mmdet::cornernet/cornernet_hourglass104_8xb6-210e-mstest_coco': 'stacked hourglass',
    'mmdet::tridentnet/tridentnet_r50-caffe_1x_coco': 'three branches',
    'mmdet::detectors/cascade-rcnn_r50-rfp_1x_coco': 'recursive feature pyramid',
    'mmseg::bisenetv2/bisenetv2_fcn_4xb4-160k_cityscapes-1024x1024': 'backbone is the model',
    'mmseg::fastscnn/fast_scnn_8xb4-160k_cityscapes-512x1024': 'backbone is the model',
    'mmseg::unet/unet-s5-d16_fcn_4xb4-40k_chase-db1-128x128': 'own decoder',
    'mmseg::dpt/dpt_vit-b16_8xb2-160k_ade20k-512x512': 'class token',
    'mmseg::setr/setr_vit-l-mla_8xb1-160k_ade20k-512x512': 'adds up four',
    'mmseg::mobilenet_v3/mobilenet-v3-d8_lraspp_4xb4-320k_cityscapes-512x1024': '49x49',
    'mmpretrain::mae/mae_vit-base-p16_8xb512-amp-coslr-300e_in1k': 'masked',
    'mmpretrain::deit/deit-base-distilled_16xb64_in1k': 'distillation token',
    'mmpretrain::eva02/eva02-base-p14_headless': 'nothing to train',
    'mmpretrain::blip/blip-base_8xb32_nlvr': 'language',
}


@pytest.mark.parametrize('source', REFUSED)
def test_reason(source: str) -> None:
    with pytest.raises(SwapRefused, match=REFUSED[source]) as error:
        swap_backbone(source)
    assert len(str(error.value).split('\n')) <= 3


@pytest.mark.parametrize(
    ('source', 'message'),
    [
        ('nowhere.py', "'nowhere.py' does not exist"),
        ('mmseg::upernet/nothing', 'upernet_'),  # names some that are there
        ('mmnone::a/b', "'mmnone' is not installed"),
    ],
)
def test_missing_config(source: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        swap_backbone(source)


def test_config_that_does_not_load(tmp_path) -> None:
    path = tmp_path / 'broken.py'
    path.write_text('model = dict(')
    with pytest.raises(UserError, match=r'broken\.py.*cannot be read'):
        swap_backbone(str(path))
