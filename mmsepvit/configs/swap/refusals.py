"""Algorithms that have no place for another backbone, each with the reason."""

from __future__ import annotations

from typing import Any

from .classes import lineage, type_name
from .errors import SwapRefused
from .sites import Site

_MASKED = 'the method is its backbone, inside which it drops or replaces masked patch tokens'
_LANGUAGE = "the image encoder's tokens are tied to the weights of a pretrained language or vision-language model"
_STACKED = (
    'each of its stacked stages is supervised by itself; another backbone has one map of each stride and no stack'
)
_POINTS = 'it reads points, or a map made of them, and no image'
_IS_THE_MODEL = 'the backbone is the model: '

# Class, as 'package.Class' -> why its model, backbone, neck or head cannot be used with another backbone.
_REASONS = {
    # models
    'mmdet.TridentFasterRCNN': 'its three branches of different dilation share weights inside TridentResNet',
    'mmdet.CornerNet': (
        'corner heatmaps are supervised at the output of each stacked hourglass, at stride 4; '
        'another backbone has one map of each stride and no stack'
    ),
    'mmdet.Detectron2Wrapper': 'it wraps a whole Detectron2 model, whose backbone is configured and built there',
    'mmseg.MultimodalEncoderDecoder': f'{_LANGUAGE} (CLIP)',
    'mmseg.DepthEstimator': "VPD's features are a pretrained diffusion model's, prompted with text",
    **{
        f'mmpretrain.{name}': _MASKED
        for name in ('MAE', 'MFF', 'MILAN', 'EVA', 'MixMIM', 'SimMIM', 'MaskFeat', 'BEiT', 'CAE', 'iTPN')
    },
    'mmpretrain.SparK': 'the method is its backbone: it needs sparse convolutions that skip masked regions',
    **{
        f'mmpretrain.{name}': _LANGUAGE
        for name in (
            'Blip2Caption',
            'Blip2Retrieval',
            'Blip2VQA',
            'BlipCaption',
            'BlipGrounding',
            'BlipNLVR',
            'BlipRetrieval',
            'BlipVQA',
            'CLIP',
            'CLIPZeroShot',
            'ChineseCLIP',
            'Flamingo',
            'Llava',
            'MiniGPT4',
            'OFA',
            'Otter',
            'RAMNormal',
            'RAMOpenset',
        )
    },
    'mmpose.PoseLifter': 'it lifts 2D key points and reads no image',
    'mmpose.DWPoseDistiller': 'its student is a config of its own, named by student_cfg: swap the backbone of that one',
    # backbones
    'mmdet.HourglassNet': 'the hourglass puts out one stride-4 map a stack, and the head is supervised at each of them',
    'mmpose.AlexNet': 'heatmaps and targets have the size that its odd strides lead to',
    'mmpose.HourglassNet': _STACKED,
    'mmpose.HourglassAENet': _STACKED,
    'mmpose.CPM': _STACKED,
    'mmpose.MSPN': _STACKED,
    'mmpose.RSN': _STACKED,
    'mmpose.TCN': 'it reads sequences of key points, no image',
    'mmpose.TCFormer': 'its tokens are clustered across stages, which its own neck undoes',
    'mmseg.BiSeNetV2': f'{_IS_THE_MODEL}two branches that guide each other, with a loss at four inner maps',
    'mmseg.DDRNet': f'{_IS_THE_MODEL}two resolutions that exchange maps at every stage',
    'mmseg.PIDNet': f'{_IS_THE_MODEL}three branches (detail, context, boundary) with a loss each',
    'mmseg.FastSCNN': f'{_IS_THE_MODEL}its stem is shared by both branches that it fuses itself',
    'mmseg.ERFNet': f'{_IS_THE_MODEL}an encoder with its own decoder up to stride 2',
    'mmseg.UNet': f'{_IS_THE_MODEL}an encoder with its own decoder up to stride 1',
    'mmseg.VPD': 'the backbone is a pretrained diffusion model, prompted with text',
    'mmpretrain.Conformer': (
        'the head reads a convolution branch and a transformer branch of the backbone, each with its own loss'
    ),
    'mmpretrain.DistilledVisionTransformer': (
        'the head reads a class token and a distillation token, and a backbone of maps has neither'
    ),
    'mmpretrain.InceptionV3': 'the head reads the inner classifier of Inception v3 beside its output',
    'mmpretrain.LoRAModel': 'LoRA adapts the pretrained layers of the wrapped backbone, which a swap would take away',
    **{
        f'mmdet3d.{name}': _POINTS
        for name in (
            'Asymm3DSpconv',
            'DGCNNBackbone',
            'MinkResNet',
            'MinkUNetBackbone',
            'MultiBackbone',
            'PointNet2SAMSG',
            'PointNet2SASSG',
            'SECOND',
            'SPVCNNBackbone',
        )
    },
    'mmrotate.ReResNet': 'the neck and the RoI head read the rotation-equivariant channels of ReResNet',
    # necks
    'mmdet.RFP': 'the recursive feature pyramid runs the DetectoRS backbone again on its own output, stage by stage',
    'mmseg.MLANeck': 'MLA adds up four transformer maps of one stride; a pyramid has one map of each stride',
    # heads
    'mmseg.LRASPPHead': 'it pools 49x49 pixels of a map of stride 8 and crops of 512 pixels; the new one has stride 32',
    'mmseg.DPTHead': "DPT reassembles a plain ViT's tokens with its class token at one stride; a pyramid has neither",
}


# They are refused for their stack; a stack of one is a backbone like others.
_STACKS = {'mmpose.HourglassNet': 'num_stacks'}


def check_model(model: dict) -> None:
    """Refuses models that no backbone can be swapped in.

    Raises:
        SwapRefused: The model is one of them.
    """
    _check(model, type_name(model))


def check_site(site: Site) -> None:
    """Refuses a backbone for its own sake or for what stands behind it.

    Raises:
        SwapRefused: It cannot be replaced.
    """
    check_model(site.owner)
    for node in (site.backbone, *site.necks, *(node for _, node in site.consumers())):
        _check(node, f'{type_name(node)} ({site.path})')
    if not site.necks and not any(True for _ in site.consumers()):
        raise SwapRefused(f'{type_name(site.owner)} ({site.path}) has no neck and no head: there is nothing to train')


def _check(node: Any, name: str) -> None:
    known = next((known for known in lineage(node) if known in _REASONS), None)
    if known and not (known in _STACKS and node.get(_STACKS[known], 1) == 1):
        raise SwapRefused(f'{name} cannot be used with another backbone: {_REASONS[known]}')
