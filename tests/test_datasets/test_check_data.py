"""Planted faults: each is found and named, and nothing else is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.config import Config
from PIL import Image
from planted import CONFIGS, PLANTS, ade_image_truncated, first, folder_of

pytest.importorskip('mmseg')
pytest.importorskip('mmdet')
pytest.importorskip('mmpretrain')

from mmsepvit.cli import check_data as module
from mmsepvit.cli.check_data import main as check_data_command
from mmsepvit.cli.command import run_command
from mmsepvit.configs.mini import apply_mini
from mmsepvit.datasets.check import check_data
from mmsepvit.datasets.mini import Counts, write_mini_data

REPO = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def clean_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    counts = Counts(train=6, val=2, class_train=2, class_val=1)
    return write_mini_data(tmp_path_factory.mktemp('clean') / 'mini', counts=counts)


@pytest.fixture
def data(clean_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the data to spoil, where a config with ``--mini`` looks for it."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(clean_data, tmp_path / 'data' / 'mini'))


def mini_config(task: str) -> Config:
    config = Config.fromfile(REPO / 'configs' / f'{CONFIGS[task]}.py')
    apply_mini(config)
    return config


def faults_of(task: str) -> list[tuple[str, str, str, str]]:
    return [
        (report.splits[0], fault.kind, fault.where, fault.what)
        for report in check_data(mini_config(task), workers=0)
        for fault in report.faults
    ]


@pytest.mark.parametrize('task', CONFIGS)
def test_clean_data_has_no_faults(data: Path, task: str) -> None:
    reports = check_data(mini_config(task), workers=2)
    assert [report.splits for report in reports] == [['train'], ['val', 'test']]
    assert [report.faults for report in reports] == [[], []]
    images = [(6, 2), (6, 2), (16, 8)][list(CONFIGS).index(task)]
    assert tuple(report.counts['images'] for report in reports) == images
    assert all(report.counts['annotations'] for report in reports)


@pytest.mark.parametrize(('plant', 'kinds'), PLANTS, ids=[plant.__name__ for plant, _ in PLANTS])
def test_planted_fault_is_found_alone(data: Path, plant: Callable, kinds: str) -> None:
    task = plant.__name__.split('_')[0]
    place = plant(folder_of(data, task), 'train')
    faults = faults_of(task)
    assert {kind for _, kind, _, _ in faults} == set(kinds.split())
    # In the split that was spoilt, and what was spoilt is named.
    assert {split for split, _, _, _ in faults} == {'train'}
    expected = kinds.split()[0]
    assert any(place in where for _, kind, where, _ in faults if kind == expected)


@pytest.mark.parametrize('task', CONFIGS)
def test_missing_folder(data: Path, task: str) -> None:
    shutil.rmtree(data / task)
    kinds = {kind for _, kind, _, _ in faults_of(task)}
    assert 'missing-folder' in kinds


def test_empty_folder(data: Path) -> None:
    for path in (data / 'ade/ADEChallengeData2016/images/validation').iterdir():
        path.unlink()
    faults = faults_of('ade')
    assert {split for split, _, _, _ in faults} == {'val'}
    assert {'no-images', 'annotation-without-image'} <= {kind for _, kind, _, _ in faults}


def test_images_whose_header_turns_them_are_not_a_mismatch(data: Path) -> None:
    """A camera's sideways picture: loaders turn it, COCO's file has the size of either."""
    path = first(data / 'coco/train2017')
    image = Image.open(path)
    exif = image.getexif()
    exif[0x0112] = 6
    image.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    assert faults_of('coco') == []


def test_command(data: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    # The small data of this test stands in for the mini data.
    monkeypatch.setattr(module, 'make_mini_data', lambda: None)
    arguments = [str(REPO / f'configs/{CONFIGS["ade"]}.py'), '--mini', '--workers', '0']
    assert run_command(check_data_command, arguments) == 0
    assert 'no faults' in capsys.readouterr().out

    name = ade_image_truncated(folder_of(data, 'ade'), 'train')
    with pytest.raises(SystemExit) as stopped:
        run_command(check_data_command, arguments)
    assert stopped.value.code == 1
    printed = capsys.readouterr().out
    assert name in printed
    assert 'unreadable-image' in printed
    assert run_command(check_data_command, [*arguments, '--allow', 'unreadable-image']) == 0

    assert run_command(check_data_command, [*arguments, '--allow', 'nothing']) == 2
    assert 'no such fault' in capsys.readouterr().err
    # Real data that is not there: what is missing, and where to read about it.
    with pytest.raises(SystemExit) as stopped:
        run_command(check_data_command, [arguments[0], '--workers', '0'])
    assert stopped.value.code == 1
    assert 'docs/data.md' in capsys.readouterr().out
