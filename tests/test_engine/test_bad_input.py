"""What a person gets to see for each mistake: a few lines, exit code 2, and nothing written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from mmsepvit.cli.command import run_command
from mmsepvit.cli.get_flops import main as get_flops
from mmsepvit.cli.test import main as run_test
from mmsepvit.cli.train import main as train

ROOT = Path(__file__).parents[2]
UPERNET = str(ROOT / 'configs' / 'upernet_sepvit_t_ade20k.py')
LITE = str(ROOT / 'configs' / 'upernet_sepvit_lite_ade20k.py')
SMALL = str(Path(__file__).parent / 'configs' / 'seg.py')


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to work in, still empty afterwards but for what the test wrote itself."""
    folder = tmp_path / 'here'
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def tree(folder: Path) -> list[Path]:
    return sorted(folder.rglob('*'))


@pytest.fixture
def refused(here: Path, capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """Runs a command that must be refused; returns the message."""

    def run(command: Callable, *arguments: str) -> str:
        before = tree(here)
        capsys.readouterr()
        try:
            code = run_command(command, list(arguments))
        except SystemExit as exit_of_parser:
            code = exit_of_parser.code
        message = capsys.readouterr().err.strip()
        assert code == 2
        assert 1 <= len(message.splitlines()) <= 3, message
        assert 'Traceback' not in message
        assert tree(here) == before
        return message

    return run


def test_no_data(refused: Callable[..., str]) -> None:
    message = refused(train, UPERNET)
    assert 'data/ade/ADEChallengeData2016' in message
    assert 'docs/data.md' in message
    assert '--mini' in message


def test_empty_data(refused: Callable[..., str], here: Path) -> None:
    (here / 'data/ade/ADEChallengeData2016/images/training').mkdir(parents=True)
    message = refused(train, UPERNET)
    assert 'images/training' in message
    assert 'is empty' in message


def test_annotation_file_missing(refused: Callable[..., str], here: Path) -> None:
    for split in ('train2017', 'val2017'):
        (here / 'data/coco' / split).mkdir(parents=True)
        (here / 'data/coco' / split / 'a.jpg').write_bytes(b'x')
    message = refused(train, str(ROOT / 'configs/retinanet_sepvit_t_1x_coco.py'))
    assert 'instances_train2017.json' in message
    assert 'COCO' in message


def test_imagenet_split_missing(refused: Callable[..., str], here: Path) -> None:
    (here / 'data/imagenet/val').mkdir(parents=True)
    message = refused(train, str(ROOT / 'configs/sepvit_lite_imagenet.py'))
    assert "'data/imagenet/train'" in message


def test_unknown_config(refused: Callable[..., str]) -> None:
    message = refused(train, str(ROOT / 'configs/upernet_sepvit_tiny_ade20k.py'), '--mini')
    assert 'upernet_sepvit_t_ade20k' in message


def test_misspelt_argument(refused: Callable[..., str]) -> None:
    message = refused(get_flops, UPERNET, '--cfg-options', 'model.backbone.drop_path_rat=0.1')
    noted, error = message.splitlines()
    assert noted.startswith("--cfg-options model.backbone.drop_path_rat: 'model.backbone' had no key 'drop_path_rat'")
    assert error.startswith("error: SepViT takes no argument 'drop_path_rat'. Did you mean drop_path_rate")


@pytest.mark.parametrize(
    ('option', 'words'),
    [('embed_dims=0', "error: SepViT takes no argument 'embed_dims'"), ('arch=huge', 'error: SepViT cannot be built')],
)
def test_arguments_are_told_before_weights_are_compared(refused: Callable[..., str], option: str, words: str) -> None:
    assert words in refused(train, LITE, '--mini', '--cfg-options', f'model.backbone.{option}')


@pytest.mark.parametrize('options', [['model.pretrained=x.pth'], ['model.backbone.pretrained=x.pth']])
def test_pretrained_points_to_init_cfg(refused: Callable[..., str], options: list[str]) -> None:
    assert 'init_cfg.checkpoint=FILE' in refused(get_flops, UPERNET, '--cfg-options', *options)


def test_contradiction_of_a_config(refused: Callable[..., str]) -> None:
    message = refused(train, SMALL, '--mini', '--cfg-options', 'default_hooks.checkpoint.save_best=coco/bbox_mAP')
    assert 'IoUMetric' in message


@pytest.mark.parametrize('command', [train, run_test])
def test_config_without_that_part(refused: Callable[..., str], here: Path, command: Callable) -> None:
    config = here / 'half.py'
    split = 'train' if command is train else 'test'
    config.write_text(f'_base_ = {SMALL!r}\n{split}_dataloader = None\n{split}_cfg = None\n')
    arguments = [str(config), '--mini'] + (['weights.pth'] if command is run_test else [])
    assert f'{split}_dataloader, {split}_cfg' in refused(command, *arguments)


def test_error_of_a_config_file(refused: Callable[..., str], here: Path) -> None:
    (here / 'own.py').write_text(f"_base_ = {SMALL!r}\n\nx = int('three')\n")
    message = refused(train, 'own.py', '--mini')
    assert 'ValueError' in message
    assert f'{here / "own.py"}, line 3' in message


@pytest.mark.parametrize('folder', ['/proc/sepvit', 'a_file/work'])
def test_work_dir_not_writable(refused: Callable[..., str], here: Path, folder: str) -> None:
    (here / 'a_file').write_text('')
    message = refused(train, UPERNET, '--mini', '--work-dir', folder)
    assert f"--work-dir '{folder}'" in message


def test_launcher_without_torchrun(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT'):
        monkeypatch.delenv(name, raising=False)
    message = refused(train, UPERNET, '--mini', '--launcher', 'pytorch')
    assert '--launcher pytorch' in message
    assert 'dist_train.sh' in message


def test_package_missing(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'mmdet', None)
    message = refused(train, str(ROOT / 'configs/retinanet_sepvit_t_1x_coco.py'), '--mini')
    assert "'mmdet' is not installed" in message
    assert 'openmmlab' in message


@pytest.mark.skipif(torch.cuda.is_available(), reason='shows what happens without a GPU')
@pytest.mark.parametrize('arguments', [(UPERNET, '--amp'), ('--amp', UPERNET)])
def test_fp16_without_gpu(refused: Callable[..., str], arguments: tuple[str, ...]) -> None:
    message = refused(train, *arguments, '--mini')
    assert len(message.splitlines()) == 1
    assert 'GPU' in message
    assert '--amp bf16' in message


def test_auto_scale_lr_without_base(refused: Callable[..., str], here: Path) -> None:
    config = here / 'no_base.py'
    config.write_text(f'_base_ = {SMALL!r}\nauto_scale_lr = dict(_delete_=True, enable=False)\n')
    message = refused(train, str(config), '--mini', '--auto-scale-lr')
    assert 'base_batch_size' in message


@pytest.mark.parametrize(
    ('arguments', 'word'),
    [
        ([], 'config'),
        ([UPERNET, '--mini', '--cfg-options', 'model.backbone'], 'KEY=VALUE'),
        ([UPERNET, '--launcher', 'ssh'], '--launcher'),
        ([UPERNET, '--seed', '-1'], '--seed'),
        ([UPERNET, '--seed', str(2**32)], '--seed'),
        ([UPERNET, '--work_dir', 'x'], '--work_dir'),
        ([UPERNET, '--backbone', 'sepvit-huge'], 'huge'),
        (['mmdet::cornernet/cornernet_hourglass104_8xb6-210e-mstest_coco', '--backbone', 'sepvit-tiny'], 'hourglass'),
        (['mmdet::dino/dino-4scale_r50', '--backbone', 'sepvit-tiny'], 'does not exist'),
    ],
)
def test_arguments(refused: Callable[..., str], arguments: list[str], word: str) -> None:
    assert word in refused(train, *arguments)


class TestCheckpoints:
    """Of ``tools/test.py``; the data is looked for last, so none is needed."""

    def test_missing(self, refused: Callable[..., str], here: Path) -> None:
        torch.save({}, here / 'other.pth')
        message = refused(run_test, SMALL, 'nope.pth', '--mini')
        assert "'nope.pth' does not exist" in message
        assert 'other.pth' in message

    @pytest.mark.parametrize('content', [b'', b'not a checkpoint', b'PK\x03\x04', b'\x80\x02}q\x00.', bytes(2000)])
    def test_no_checkpoint(self, refused: Callable[..., str], here: Path, content: bytes) -> None:
        (here / 'text.pth').write_bytes(content)
        assert "'text.pth'" in refused(run_test, SMALL, 'text.pth', '--mini')

    def test_truncated(self, refused: Callable[..., str], here: Path, trained: Callable[[str], Path]) -> None:
        whole = (trained('seg') / 'iter_2.pth').read_bytes()
        (here / 'half.pth').write_bytes(whole[: len(whole) // 2])
        message = refused(run_test, SMALL, 'half.pth', '--mini')
        assert 'truncated' in message

    def test_other_arch(self, refused: Callable[..., str], here: Path, recwarn: pytest.WarningsRecorder) -> None:
        from mmsepvit import SepViT

        state = SepViT('small', out_indices=(3,)).state_dict()
        torch.save({'state_dict': {f'backbone.{k}': v for k, v in state.items()}}, here / 'small.pth')
        config = str(ROOT / 'configs/sepvit_t_imagenet.py')
        message = refused(run_test, config, 'small.pth', '--mini')
        assert 'this looks like SepViT small, the config says tiny' in message
        message = refused(train, config, '--mini', '--resume', 'small.pth')
        assert 'SepViT small' in message
        recwarn.clear()
        assert 'SepViT small' in refused(run_test, UPERNET, 'small.pth', '--mini')
        assert not [str(w.message) for w in recwarn]  # what the packages warn of stands before no message

    def test_published_names(self, refused: Callable[..., str], here: Path) -> None:
        torch.save({'model': {'patch_embeds.0.proj.weight': torch.zeros(1)}}, here / 'pub.pth')
        assert 'tools/convert_checkpoint.py' in refused(run_test, SMALL, 'pub.pth', '--mini')

    @pytest.mark.parametrize(
        ('state', 'words'),
        [
            (None, ("'start.pth' does not exist",)),
            ({'head.fc.weight': torch.zeros(1)}, ('model.backbone.init_cfg', 'none of the weights')),
            ({'model': {'patch_embeds.0.proj.weight': torch.zeros(1)}}, ('tools/convert_checkpoint.py',)),
            ('small', ('model.backbone.init_cfg', 'another arch')),
        ],
    )
    def test_pretrained(self, refused: Callable[..., str], here: Path, state: Any, words: tuple[str, ...]) -> None:
        if state == 'small':
            from mmsepvit import SepViT

            state = {f'backbone.{key}': value for key, value in SepViT('small').state_dict().items()}
        if state is not None:
            torch.save(state, here / 'start.pth')
        init = ('type=Pretrained', 'checkpoint=start.pth', 'prefix=backbone.')
        options = [f'model.backbone.init_cfg.{option}' for option in init]
        message = refused(train, UPERNET, '--mini', '--cfg-options', *options)
        assert all(word in message for word in words)

    def test_other_head(self, refused: Callable[..., str], here: Path, trained: Callable[[str], Path]) -> None:
        path = str(trained('seg') / 'iter_2.pth')
        config = here / 'more_classes.py'
        config.write_text(f'_base_ = {SMALL!r}\nmodel = dict(decode_head=dict(num_classes=151))\n')
        message = refused(run_test, str(config), path, '--mini')
        assert '150' in message
        assert '151' in message

    def test_other_task(self, refused: Callable[..., str], trained: Callable[[str], Path]) -> None:
        path = str(trained('seg') / 'iter_2.pth')
        message = refused(run_test, str(Path(SMALL).with_name('cls.py')), path, '--mini')
        assert 'head' in message

    def test_resume_from_weights_alone(
        self, refused: Callable[..., str], here: Path, trained: Callable[[str], Path]
    ) -> None:
        checkpoint = torch.load(trained('seg') / 'iter_2.pth', weights_only=False)
        torch.save({'state_dict': checkpoint['state_dict']}, here / 'weights.pth')
        message = refused(train, SMALL, '--mini', '--resume', 'weights.pth')
        assert 'load_from=weights.pth' in message

    def test_resume_with_another_seed(self, refused: Callable[..., str], trained: Callable[[str], Path]) -> None:
        path = str(trained('seg') / 'iter_2.pth')
        assert '--seed 7' in refused(train, SMALL, '--mini', '--resume', path, '--seed', '7')

    def test_resume_where_nothing_can_be_read(self, refused: Callable[..., str], here: Path) -> None:
        (here / 'work').mkdir()
        (here / 'work' / 'iter_3.pth').write_bytes(b'half')
        (here / 'work' / 'last_checkpoint').write_text('work/iter_3.pth')
        message = refused(train, SMALL, '--mini', '--work-dir', 'work', '--resume')
        assert 'iter_3.pth' in message

    @pytest.mark.parametrize(('out', 'word'), [('result.json', '.pkl'), ('/proc/x.pkl', '--out')])
    def test_out(self, refused: Callable[..., str], trained: Callable[[str], Path], out: str, word: str) -> None:
        path = str(trained('seg') / 'iter_2.pth')
        assert word in refused(run_test, SMALL, path, '--mini', '--out', out)


@pytest.mark.parametrize('tool', ['train', 'test'])
def test_tool_from_elsewhere(tool: str, tmp_path: Path) -> None:
    """The script itself, in a folder of its own, with nothing installed or in PYTHONPATH."""
    environment = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    arguments = ['nowhere.py'] + (['weights.pth'] if tool == 'test' else [])
    done = subprocess.run(
        [sys.executable, str(ROOT / 'tools' / f'{tool}.py'), *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "error: config 'nowhere.py' does not exist" in done.stderr
    assert 'Traceback' not in done.stderr
    assert not tree(tmp_path)


TOOLS = sorted(path.stem for path in (ROOT / 'tools').glob('*.py') if 'from command import run' in path.read_text())


@pytest.mark.parametrize('tool', TOOLS)
def test_tool_without_mmengine(tool: str, tmp_path: Path) -> None:
    (tmp_path / 'mmengine.py').write_text("raise ModuleNotFoundError(\"No module named 'mmengine'\", name='mmengine')")
    done = subprocess.run(
        [sys.executable, str(ROOT / 'tools' / f'{tool}.py'), UPERNET],
        env={**os.environ, 'PYTHONPATH': str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert 'mmengine' in done.stderr
    assert 'Traceback' not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3
