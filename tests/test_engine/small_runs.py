"""What the test modules of this folder share: small networks, few iterations."""

from __future__ import annotations

from pathlib import Path

CONFIGS = Path(__file__).parent / 'configs'
TASKS = ('seg', 'det', 'cls')

# Two images are enough to see that a validation or a test runs.
_FEW = [
    'val_dataloader.num_batch_per_epoch=2',
    'test_dataloader.num_batch_per_epoch=2',
    'val_dataloader.batch_size=1',
    'test_dataloader.batch_size=1',
    'train_dataloader.batch_size=2',
    'default_hooks.logger.interval=1',
]
_EPOCH = [
    'train_cfg.max_epochs=1',
    'train_cfg.val_interval=1',
    'default_hooks.checkpoint.interval=1',
    'train_dataloader.num_batch_per_epoch=2',
]
_SHORT = {
    'seg': ['train_cfg.max_iters=2', 'train_cfg.val_interval=2', 'default_hooks.checkpoint.interval=1'],
    'det': _EPOCH,
    'cls': _EPOCH,
}
LAST = {'seg': 'iter_2.pth', 'det': 'epoch_1.pth', 'cls': 'epoch_1.pth'}


def small_config(task: str) -> str:
    return str(CONFIGS / f'{task}.py')


def short_options(task: str, training: bool = True) -> list[str]:
    return _FEW + (_SHORT[task] if training else [])
