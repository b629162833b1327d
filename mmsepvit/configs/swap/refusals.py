"""Algorithms that have no place for another backbone, each with the reason."""

from __future__ import annotations

from typing import Any

from .errors import SwapRefused
from .sites import Site, type_name

_MASKED = 'the method is its backbone: it drops or replaces masked patch tokens inside {backbone}, which SepViT has not'
_LANGUAGE = "the image encoder's tokens are tied to the weights of a pretrained language or vision-language model"

# Models whose working depends on the inside of their backbone.
MODELS_REFUSED = {
    'TridentFasterRCNN': 'its three branches of different dilation, with shared weights, are inside TridentResNet',
    'CornerNet': (
        'corner heatmaps are supervised at the output of each stacked hourglass, at stride 4; '
        'SepViT has one map of each stride and no stack'
    ),
    'Detectron2Wrapper': 'it wraps a whole Detectron2 model, whose backbone is configured and built there',
    'MultimodalEncoderDecoder': f'{_LANGUAGE} (CLIP)',
    'DepthEstimator': "VPD's features are a pretrained diffusion model's, prompted with text",
    **dict.fromkeys(('MAE', 'MFF', 'MILAN', 'EVA', 'MixMIM', 'SimMIM', 'MaskFeat', 'BEiT', 'CAE', 'iTPN'), _MASKED),
    'SparK': 'the method is its backbone: it needs sparse convolutions that skip masked regions',
    **dict.fromkeys(
        [
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
        ],
        _LANGUAGE,
    ),
    'RAMNormal': _LANGUAGE,
    'RAMOpenset': _LANGUAGE,
}

# Backbones that are the whole network: what stands behind them is one layer.
BACKBONES_REFUSED = {
    'HourglassNet': 'the hourglass puts out one stride-4 map a stack, and the head is supervised at each of them',
    'BiSeNetV2': 'the backbone is the model: two branches that guide each other, with a loss at four inner maps',
    'DDRNet': 'the backbone is the model: two resolutions that exchange maps at every stage',
    'PIDNet': 'the backbone is the model: three branches (detail, context, boundary) with a loss each',
    'FastSCNN': 'the backbone is the model: its stem is shared by both branches that it fuses itself',
    'ERFNet': 'the backbone is the model: an encoder with its own decoder up to stride 2',
    'UNet': 'the backbone is the model: an encoder with its own decoder up to stride 1',
    'VPD': 'the backbone is a pretrained diffusion model, prompted with text',
    'Conformer': 'the head reads a convolution branch and a transformer branch of the backbone, each with its own loss',
    'DistilledVisionTransformer': 'the head reads a class token and a distillation token, SepViT has neither',
    'InceptionV3': 'the head reads the inner classifier of Inception v3 beside its output',
    'LoRAModel': 'LoRA adapts the pretrained layers of the wrapped backbone, which a swap would take away',
    'VisionTransformer3D': 'the backbone reads volumes',
}

NECKS_REFUSED = {
    'RFP': 'the recursive feature pyramid runs the DetectoRS backbone again on its own output, stage by stage',
    'MLANeck': 'MLA adds up four transformer maps of one stride; SepViT has one map of each stride',
}

HEADS_REFUSED = {
    'LRASPPHead': 'it pools 49x49 pixels of a map of stride 8 and crops of 512 pixels; SepViT has stride 32 there',
    'DPTHead': "DPT reassembles a plain ViT's tokens with its class token at one stride, SepViT has neither",
}


def check_model(model: dict) -> None:
    """Refuses models that no backbone can be swapped in.

    Raises:
        SwapRefused: The model is one of them.
    """
    reason = MODELS_REFUSED.get(type_name(model))
    if reason:
        backbone = type_name(model.get('backbone')) or 'its backbone'
        raise SwapRefused(f'{type_name(model)} cannot take SepViT: {reason.format(backbone=backbone)}')


def check_site(site: Site) -> None:
    """Refuses a backbone for its own sake or for what stands behind it.

    Raises:
        SwapRefused: It cannot be replaced.
    """
    check_model(site.owner)
    groups: list[tuple[dict[str, str], list[Any]]] = [
        (BACKBONES_REFUSED, [site.backbone]),
        (NECKS_REFUSED, site.necks),
        (HEADS_REFUSED, [node for _, node in site.consumers()]),
    ]
    for reasons, nodes in groups:
        for node in nodes:
            reason = reasons.get(type_name(node))
            if reason:
                raise SwapRefused(f'{type_name(node)} ({site.path}) cannot be replaced by or fed from SepViT: {reason}')
