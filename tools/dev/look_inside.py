"""Draws the pictures of docs/look_inside.md: of the weights that the package carries, for a generated scene.

python tools/dev/look_inside.py docs       # needs: pip install --no-deps grad-cam ttach
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mmengine.registry import MODELS
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.image import show_cam_on_image
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import mmsepvit
from mmsepvit.configs.load import load_config
from mmsepvit.configs.mini import make_mini_data
from mmsepvit.datasets.images import normalised, read_image
from mmsepvit.models import SepViT
from mmsepvit.visualize import draw_window_attention, window_attention

SCENE = 'coco/val2017/000000500031.jpg'
SHEEP = (slice(190, 380), slice(10, 190))  # rows and columns of the image, resized to 448 pixels
POINT = (100, 290)


class LikeAConcept:
    """How near the pooled features are to those of another image: a target of Grad-CAM that needs no head."""

    def __init__(self, concept: Tensor) -> None:
        self.concept = concept

    def __call__(self, features: Tensor) -> Tensor:
        return torch.cosine_similarity(features.mean((1, 2)), self.concept, dim=0)


class LastMap(torch.nn.Module):
    def __init__(self, backbone: SepViT) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> Tensor:
        return self.backbone(images)[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out', type=Path, help='folder for the pictures')
    out = parser.parse_args().out
    config = load_config(mmsepvit.config('upernet_sepvit_lite_ade20k'))
    config.model.backbone.init_cfg = dict(
        type='Pretrained', checkpoint='mmsepvit://sepvit_lite_distilled', prefix='backbone.'
    )
    backbone = MODELS.build(config.model.backbone)
    backbone.init_weights()
    backbone.eval()
    image = read_image(str(Path(make_mini_data()) / SCENE), 448)
    images = normalised(image, config)[None]

    attentions = {attention.name: attention for attention in window_attention(backbone, images)}
    with TemporaryDirectory() as folder:
        file = Path(folder) / 'attention.png'
        draw_window_attention(attentions['stages.2.blocks.0'], image, POINT, file, heads=[0, 2])
        picture = cv2.resize(cv2.imread(str(file)), None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(out / 'attention.jpg'), picture, [cv2.IMWRITE_JPEG_QUALITY, 85])

    with torch.no_grad():
        concept = backbone(images[..., SHEEP[0], SHEEP[1]])[-1][0].mean((1, 2))
    names = list(attentions)
    modules = dict(backbone.named_modules())
    pictures = []
    for name in names:
        with GradCAM(LastMap(backbone), [modules[name]], lambda maps: maps.permute(0, 3, 1, 2)) as cam:
            found = cam(input_tensor=images, targets=[LikeAConcept(concept)])[0]
        pictures.append(show_cam_on_image(np.float32(image) / 255, found, use_rgb=True))
    columns = 6
    figure = Figure(figsize=(11, 4.6), layout='constrained')
    FigureCanvasAgg(figure)
    panels = figure.subplots(-(-(len(names) + 1) // columns), columns).flat
    marked = image.copy()
    cv2.rectangle(marked, (SHEEP[1].start, SHEEP[0].start), (SHEEP[1].stop, SHEEP[0].stop), (255, 255, 255), 4)
    for panel, title, picture in zip(panels, ['the concept', *names], [marked, *pictures]):
        panel.imshow(picture)
        panel.set_title(title, fontsize=9)
    for panel in figure.axes:
        panel.axis('off')
    figure.savefig(out / 'grad_cam.jpg', dpi=90)


if __name__ == '__main__':
    main()
