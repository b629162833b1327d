"""`tools/train.py CONFIG --backbone sepvit-ARCH --mini` learns: four kinds of algorithm, as packages ship them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmsepvit.cli.train import main as train

# DeepLabV3+ and Mask2Former in their ADE20K form, which is the mini data's.
ALGORITHMS = {
    'Cascade Mask R-CNN': 'mmdet::cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco',
    'DINO': 'mmdet::dino/dino-4scale_r50_8xb2-12e_coco',
    'Mask2Former': 'mmseg::mask2former/mask2former_r50_8xb2-160k_ade20k-512x512',
    'DeepLabV3+': 'mmseg::deeplabv3plus/deeplabv3plus_r50-d8_4xb4-80k_ade20k-512x512',
}
ITERATIONS = 40


@pytest.mark.slow
@pytest.mark.parametrize('name', ALGORITHMS)
def test_losses_fall(name: str, mini_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mini_root)
    package = ALGORITHMS[name].partition('::')[0]
    options = ['model.backbone.frozen_stages=-1', 'default_hooks.logger.interval=1', 'randomness.seed=0']
    if package == 'mmdet':
        options += ['train_cfg.max_epochs=1', 'train_cfg.val_interval=2']
        options += [f'train_dataloader.num_batch_per_epoch={ITERATIONS}']
    else:
        options += ['train_dataloader.batch_size=2', f'train_cfg.max_iters={ITERATIONS}']
        options += [f'train_cfg.val_interval={2 * ITERATIONS}']
    command = [ALGORITHMS[name], '--backbone', 'sepvit-lite', '--mini', '--work-dir', str(tmp_path)]
    train([*command, '--cfg-options', *options])

    (scalars,) = tmp_path.glob('*/vis_data/scalars.json')
    lines = (json.loads(line) for line in scalars.read_text().splitlines())
    losses = [line['loss'] for line in lines if 'loss' in line]
    assert len(losses) == ITERATIONS
    first, last = losses[: ITERATIONS // 4], losses[-ITERATIONS // 4 :]
    assert sum(last) < 0.9 * sum(first)
