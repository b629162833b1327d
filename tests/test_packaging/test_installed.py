"""The installed package at work: from any folder, without the checkout, without what it may lack."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from package_install import Environment, make_environment, run

ROOT = Path(__file__).resolve().parents[2]
# Stands in for packages that are not installed, as the import system would report them.
HIDE = """
import sys

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {names!r}:
            raise ModuleNotFoundError(f'No module named {{name!r}}', name=name)

sys.meta_path.insert(0, Hide())
"""

BUILD_FROM_CONFIG = """
import json
from importlib.resources import files
from mmengine import Config
from mmengine.registry import MODELS
import mmsepvit

config = Config.fromfile(str(files('mmsepvit') / '.mim' / 'configs' / 'upernet_sepvit_t_ade20k.py'))
backbone = MODELS.build(config.model.backbone)
print(json.dumps([mmsepvit.__file__, config.filename, type(backbone).__module__, backbone.out_channels]))
"""


def test_a_config_builds_from_any_folder(installed: Environment, tmp_path: Path) -> None:
    said = json.loads(run(installed.python, '-c', BUILD_FROM_CONFIG, cwd=tmp_path).splitlines()[-1])
    module, config, name, channels = said
    assert Path(module) == installed.site / 'mmsepvit' / '__init__.py'
    assert Path(config).is_relative_to(installed.site)
    assert name == 'mmsepvit.models.sepvit'
    assert channels == [96, 192, 384, 768]


def test_editable_install_links_mims_files(source: Path, tmp_path: Path) -> None:
    environment = make_environment(tmp_path / 'env')
    environment.pip_install('--editable', source, cwd=tmp_path)
    said = json.loads(run(environment.python, '-c', BUILD_FROM_CONFIG, cwd=tmp_path).splitlines()[-1])
    assert Path(said[0]) == source / 'mmsepvit' / '__init__.py'
    for name in ('configs', 'tools', 'model-index.yml'):
        link = source / 'mmsepvit' / '.mim' / name
        assert link.is_symlink()
        assert link.resolve() == source / name
    # Links follow the checkout: no second install for a new config.
    (source / 'configs' / 'new.py').write_text('model = None\n')
    try:
        assert (source / 'mmsepvit' / '.mim' / 'configs' / 'new.py').exists()
    finally:
        (source / 'configs' / 'new.py').unlink()


def test_it_trains_and_tests_from_the_installed_package(
    installed: Environment, mini_root: Path, tmp_path: Path
) -> None:
    mim = installed.site / 'mmsepvit' / '.mim'
    config = mim / 'configs' / 'sepvit_lite_imagenet.py'
    data = ('train_dataloader.dataset.indices=32', 'val_dataloader.dataset.indices=8', 'train_cfg.max_epochs=1')
    options = ('--mini', '--work-dir', tmp_path, '--cfg-options', *data)
    run(installed.python, mim / 'tools' / 'train.py', config, *options, cwd=mini_root)
    log = next(tmp_path.rglob('*.log')).read_text()
    assert 'Epoch(train) [1][2/2]' in log
    options = ('--mini', '--work-dir', tmp_path, '--cfg-options', 'test_dataloader.dataset.indices=8')
    run(installed.python, mim / 'tools' / 'test.py', config, tmp_path / 'epoch_1.pth', *options, cwd=mini_root)
    assert 'accuracy/top1' in max(tmp_path.rglob('*.log')).read_text()


def test_without_mmengine_it_says_which_extra_to_install(installed: Environment, tmp_path: Path) -> None:
    code = HIDE.format(names={'mmengine'}) + 'import mmsepvit'
    result = subprocess.run([installed.python, '-c', code], cwd=tmp_path, capture_output=True, text=True)
    last = result.stderr.splitlines()[-1]
    assert result.returncode == 1
    assert last.startswith('ModuleNotFoundError: ')
    assert "pip install 'mmsepvit[openmmlab]'" in last
    assert 'mmsepvit[onedl]' in last


def test_torch_and_mmengine_are_enough_for_the_backbone(installed: Environment, tmp_path: Path) -> None:
    # mmengine's own requirements stay; all else of the stacks is hidden.
    others = {'mmcv', 'mmdet', 'mmseg', 'mmpretrain', 'torchvision', 'scipy', 'pycocotools', 'safetensors', 'timm'}
    code = HIDE.format(names=others) + (
        'import torch, mmsepvit\n'
        'print([tuple(out.shape) for out in mmsepvit.SepViT("lite")(torch.zeros(1, 3, 64, 64))])\n'
    )
    shapes = '[(1, 32, 16, 16), (1, 64, 8, 8), (1, 128, 4, 4), (1, 256, 2, 2)]'
    assert run(installed.python, '-c', code, cwd=tmp_path).splitlines()[-1] == shapes


def test_this_environment_is_the_stacks(tmp_path: Path) -> None:
    """Every version that the requirements name is the one here, and pip finds no contradiction."""
    names = {distribution.metadata['Name'].lower() for distribution in metadata.distributions()}
    stack = 'onedl' if 'onedl-mmcv' in names else 'openmmlab'
    for file in (stack, 'export', 'test'):
        for line in (ROOT / 'requirements' / f'{file}.in').read_text().splitlines():
            name, _, version = line.partition('#')[0].strip().partition('==')
            if name:
                assert metadata.version(name).partition('+')[0] == version, name
    run(sys.executable, '-m', 'pip', 'check', cwd=tmp_path)
