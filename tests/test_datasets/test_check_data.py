"""Planted faults: each is found and named, and nothing else is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

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
CONFIGS = {
    'ade': 'upernet_sepvit_t_ade20k',
    'coco': 'mask_rcnn_sepvit_t_1x_coco',
    'imagenet': 'sepvit_t_imagenet',
}


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


def first(folder: Path, pattern: str = '**/*.*') -> Path:
    return min(path for path in folder.glob(pattern) if path.is_file())


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


# --- what is planted; each returns a part of the place that must be named ---


def ade_image_gone(root: Path) -> str:
    path = first(root / 'images/training')
    path.unlink()
    return path.stem


def ade_annotation_gone(root: Path) -> str:
    path = first(root / 'annotations/training')
    path.unlink()
    return path.stem


def ade_image_truncated(root: Path) -> str:
    path = first(root / 'images/training')
    truncate(path)
    return path.name


def ade_image_empty(root: Path) -> str:
    path = first(root / 'images/training')
    path.write_bytes(b'')
    return path.name


def ade_annotation_truncated(root: Path) -> str:
    path = first(root / 'annotations/training')
    truncate(path)
    return path.name


def ade_annotation_coloured(root: Path) -> str:
    path = first(root / 'annotations/training')
    Image.open(path).convert('RGB').save(path)
    return path.name


def ade_class_151(root: Path) -> str:
    path = first(root / 'annotations/training')
    values = np.array(Image.open(path))
    values[0, 0] = 151
    Image.fromarray(values).save(path)
    return path.name


def ade_sizes_differ(root: Path) -> str:
    path = first(root / 'annotations/training')
    Image.fromarray(np.array(Image.open(path))[:-1]).save(path)
    return path.name


def ade_renamed_suffix(root: Path) -> str:
    path = first(root / 'images/training')
    path.rename(path.with_suffix('.jpeg'))
    return path.stem


def edit_json(root: Path, change: Callable[[dict], object]) -> str:
    path = root / 'annotations/instances_train2017.json'
    content = json.loads(path.read_text())
    result = change(content)
    path.write_text(json.dumps(content))
    return str(result)


def coco_image_gone(root: Path) -> str:
    path = first(root / 'train2017')
    path.unlink()
    return path.name


def coco_image_truncated(root: Path) -> str:
    path = first(root / 'train2017')
    truncate(path)
    return path.name


def coco_image_unlisted(root: Path) -> str:
    shutil.copy(first(root / 'train2017'), root / 'train2017/000000999999.jpg')
    return '000000999999.jpg'


def coco_json_truncated(root: Path) -> str:
    path = root / 'annotations/instances_train2017.json'
    truncate(path)
    return path.name


def coco_key_missing(root: Path) -> str:
    def change(content: dict) -> str:
        del content['annotations'][0]['area']
        return 'instances_train2017.json'

    return edit_json(root, change)


def set_first(root: Path, **values: object) -> str:
    """Sets keys of the first annotation."""

    def change(content: dict) -> str:
        content['annotations'][0].update(values)
        return f'annotation {content["annotations"][0]["id"]}'

    return edit_json(root, change)


def coco_box_outside(root: Path) -> str:
    return set_first(root, bbox=[5, 5, 100000, 20])


def coco_box_left_of_image(root: Path) -> str:
    return set_first(root, bbox=[-40, 5, 60, 20])


def coco_box_flat(root: Path) -> str:
    return set_first(root, bbox=[5, 5, 20, 0])


def coco_box_of_three(root: Path) -> str:
    return set_first(root, bbox=[5, 5, 20])


def coco_category_unknown(root: Path) -> str:
    return set_first(root, category_id=12)  # COCO's ids have holes, and this is one


def coco_polygon_of_two_points(root: Path) -> str:
    return set_first(root, segmentation=[[0, 0, 9, 9]])


def coco_runs_too_short(root: Path) -> str:
    def change(content: dict) -> str:
        box = content['annotations'][0]
        image = next(i for i in content['images'] if i['id'] == box['image_id'])
        size = [image['height'], image['width']]
        box.update(segmentation={'size': size, 'counts': [5, 7]}, iscrowd=1)
        return f'annotation {box["id"]}'

    return edit_json(root, change)


def coco_annotation_of_no_image(root: Path) -> str:
    return set_first(root, image_id=987654321)


def coco_class_missing(root: Path) -> str:
    def change(content: dict) -> str:
        used = {box['category_id'] for box in content['annotations']}
        free = next(c for c in content['categories'] if c['id'] not in used)
        content['categories'].remove(free)
        return 'instances_train2017.json'

    return edit_json(root, change)


def coco_size_wrong(root: Path) -> str:
    def change(content: dict) -> str:
        content['images'][0]['width'] += 2
        return content['images'][0]['file_name']

    return edit_json(root, change)


def coco_id_twice(root: Path) -> str:
    def change(content: dict) -> str:
        content['annotations'][1]['id'] = content['annotations'][0]['id']
        return 'instances_train2017.json'

    return edit_json(root, change)


def edit_list(root: Path, change: Callable[[list[str]], object]) -> str:
    path = root / 'meta/train.txt'
    lines = path.read_text().splitlines()
    result = change(lines)
    path.write_text('\n'.join(lines) + '\n')
    return str(result)


def imagenet_file_gone(root: Path) -> str:
    path = first(root / 'train')
    path.unlink()
    return path.name


def imagenet_truncated(root: Path) -> str:
    path = first(root / 'train')
    truncate(path)
    return path.name


def imagenet_not_an_image(root: Path) -> str:
    path = first(root / 'train')
    path.write_text('<html>quota exceeded</html>')
    return path.name


def imagenet_unlisted(root: Path) -> str:
    return edit_list(root, lambda lines: lines.pop(0).split(' ')[0])


def imagenet_label_1000(root: Path) -> str:
    # Both of the class, so that it is not a class of two labels too.
    def change(lines: list[str]) -> str:
        folder = lines[0].split('/')[0]
        for i, line in enumerate(lines):
            if line.startswith(folder):
                lines[i] = line.rsplit(' ', 1)[0] + ' 1000'
        return lines[0].rsplit(' ', 1)[0]

    return edit_list(root, change)


def imagenet_two_labels(root: Path) -> str:
    def change(lines: list[str]) -> str:
        lines[0] = lines[0].rsplit(' ', 1)[0] + ' 999'
        return lines[0].split('/')[0]

    return edit_list(root, change)


def imagenet_line_twice(root: Path) -> str:
    return edit_list(root, lambda lines: lines.append(lines[0]) or f'line {len(lines)}')


def imagenet_empty_folder(root: Path) -> str:
    (root / 'train/n99999999').mkdir()
    return 'n99999999'


PLANTS = [
    (ade_image_gone, 'annotation-without-image'),
    (ade_annotation_gone, 'image-without-annotation'),
    (ade_image_truncated, 'unreadable-image'),
    (ade_image_empty, 'unreadable-image'),
    (ade_annotation_truncated, 'unreadable-annotation'),
    (ade_annotation_coloured, 'unreadable-annotation'),
    (ade_class_151, 'class-id-range'),
    (ade_sizes_differ, 'size-mismatch'),
    (ade_renamed_suffix, 'annotation-without-image'),
    (coco_image_gone, 'missing-file'),
    (coco_image_truncated, 'unreadable-image'),
    (coco_image_unlisted, 'image-without-annotation'),
    (coco_json_truncated, 'malformed-json dataset-class'),
    (coco_key_missing, 'malformed-json dataset-class'),
    (coco_box_outside, 'bad-box'),
    (coco_box_left_of_image, 'bad-box'),
    (coco_box_flat, 'bad-box'),
    (coco_box_of_three, 'bad-box dataset-class'),
    (coco_category_unknown, 'unknown-category'),
    (coco_polygon_of_two_points, 'bad-mask'),
    (coco_runs_too_short, 'bad-mask'),
    (coco_annotation_of_no_image, 'annotation-without-image'),
    (coco_class_missing, 'unknown-category'),
    (coco_size_wrong, 'size-mismatch'),
    (coco_id_twice, 'duplicate-id dataset-class'),
    (imagenet_file_gone, 'missing-file'),
    (imagenet_truncated, 'unreadable-image'),
    (imagenet_not_an_image, 'unreadable-image'),
    (imagenet_unlisted, 'image-without-annotation'),
    (imagenet_label_1000, 'class-id-range'),
    (imagenet_two_labels, 'mixed-labels'),
    (imagenet_line_twice, 'duplicate-id'),
    (imagenet_empty_folder, 'empty-class-folder'),
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
    folder = data / task / 'ADEChallengeData2016' if task == 'ade' else data / task
    place = plant(folder)
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


@pytest.mark.parametrize('line', ['n01440764/some.JPEG', 'n01440764/some.JPEG dog'])
def test_malformed_line(data: Path, line: str) -> None:
    edit_list(data / 'imagenet', lambda lines: lines.append(line))
    faults = faults_of('imagenet')
    _, kind, where, _ = faults[0]
    assert kind == 'malformed-line'
    assert 'line 17' in where


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
    arguments = [str(REPO / f'configs/{CONFIGS["ade"]}.py'), '--mini']
    assert run_command(check_data_command, arguments) == 0
    assert 'no faults' in capsys.readouterr().out

    name = ade_image_truncated(data / 'ade/ADEChallengeData2016')
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
        run_command(check_data_command, arguments[:1])
    assert stopped.value.code == 1
    assert 'docs/data.md' in capsys.readouterr().out
