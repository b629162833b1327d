from __future__ import annotations

import json
import multiprocessing
import os
import runpy
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mmsepvit.datasets.mini import Counts, ensure_mini_data, write_mini_data
from mmsepvit.datasets.mini.data import MARKER, read_marker
from mmsepvit.errors import UserError


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob('*')) if p.is_file()}


def test_layout(small_root: Path):
    names = set(contents(small_root))
    assert len(names) == 3 * 7 + 16 + 5
    assert {
        MARKER,
        'ade/ADEChallengeData2016/images/training/ADE_train_00000001.jpg',
        'ade/ADEChallengeData2016/annotations/training/ADE_train_00000005.png',
        'ade/ADEChallengeData2016/images/validation/ADE_val_00000001.jpg',
        'coco/train2017/000000000001.jpg',
        'coco/annotations/instances_train2017.json',
        'coco/annotations/instances_val2017.json',
        'imagenet/train/n02391049/n02391049_1.JPEG',
        'imagenet/val/ILSVRC2012_val_00000008.JPEG',
        'imagenet/meta/train.txt',
        'imagenet/meta/val.txt',
    } <= names


def test_fresh_processes_write_the_same_bytes(small_root: Path, small_counts: Counts, tmp_path: Path):
    code = f'import sys; from mmsepvit.datasets.mini import *; write_mini_data(sys.argv[1], 0, {small_counts!r})'
    processes = [
        subprocess.Popen(
            [sys.executable, '-c', code, str(tmp_path / hash_seed)],
            env={**os.environ, 'PYTHONHASHSEED': hash_seed},
        )
        for hash_seed in ('1', '4242')
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    expected = contents(small_root)
    assert contents(tmp_path / '1') == expected
    assert contents(tmp_path / '4242') == expected


def test_another_seed_gives_other_pictures(small_root: Path, small_counts: Counts, tmp_path: Path):
    other = contents(write_mini_data(tmp_path / 'mini', 1, small_counts))
    same = contents(small_root)
    assert other.keys() == same.keys()
    equal = {name for name in same if same[name] == other[name]}
    assert equal == {'imagenet/meta/train.txt', 'imagenet/meta/val.txt'}


def test_more_training_scenes_keep_the_others(small_root: Path, tmp_path: Path):
    less = contents(write_mini_data(tmp_path / 'mini', 0, Counts(3, 2, 1, 1)))
    full = contents(small_root)
    pictures = [name for name in less if name.endswith(('.jpg', '.png', '.JPEG'))]
    assert len(pictures) == 3 * 5 + 16
    assert all(less[name] == full[name] for name in pictures)


def test_ensure_writes_once(small_counts: Counts, tmp_path: Path):
    root = tmp_path / 'data' / 'mini'
    steps = []
    arguments = (0, small_counts, lambda *step: steps.append(step))
    assert ensure_mini_data(str(root), *arguments) == root
    assert steps[-1] == ('ImageNet', 23, 23)
    assert [step[1] for step in steps] == list(range(1, 24))
    steps.clear()
    ensure_mini_data(root, *arguments)
    assert steps == []

    picture = root / 'ade/ADEChallengeData2016/images/training/ADE_train_00000001.jpg'
    picture.unlink()
    ensure_mini_data(root, *arguments)
    assert len(steps) == 23
    assert picture.is_file()

    steps.clear()
    ensure_mini_data(root, 7, *arguments[1:])
    assert len(steps) == 23
    assert read_marker(root)['seed'] == 7
    assert [p.name for p in root.parent.iterdir()] == ['mini']


def test_an_older_generators_data_is_replaced(small_root: Path, small_counts: Counts, tmp_path: Path):
    root = tmp_path / 'mini'
    shutil.copytree(small_root, root)
    marker = json.loads((root / MARKER).read_text())
    (root / MARKER).write_text(json.dumps({**marker, 'generator_version': 0}))
    (root / 'left_over.txt').write_text('of the old version')
    ensure_mini_data(root, 0, small_counts)
    assert contents(root) == contents(small_root)


class _StopError(Exception):
    pass


@pytest.mark.parametrize('error', [KeyboardInterrupt, _StopError])
@pytest.mark.parametrize('at', [1, 23])
def test_interruption_leaves_nothing(error: type, at: int, small_counts: Counts, tmp_path: Path):
    def stop(what: str, done: int, total: int) -> None:
        if done == at:
            raise error

    with pytest.raises(error):
        write_mini_data(tmp_path / 'data' / 'mini', 0, small_counts, stop)
    assert list((tmp_path / 'data').iterdir()) == []


def test_interruption_keeps_the_old_data(small_root: Path, small_counts: Counts, tmp_path: Path):
    root = tmp_path / 'mini'
    shutil.copytree(small_root, root)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_mini_data(root, 3, small_counts, stop)
    assert contents(root) == contents(small_root)
    assert list(tmp_path.iterdir()) == [root]


def test_what_a_killed_run_left_is_removed(small_counts: Counts, tmp_path: Path):
    def write_and_die() -> None:
        write_mini_data(tmp_path / 'mini', progress=lambda *_: os.kill(os.getpid(), signal.SIGKILL))

    process = multiprocessing.get_context('fork').Process(target=write_and_die)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()  # nothing can clean up after a SIGKILL
    assert left.name.startswith('.mini.')
    write_mini_data(tmp_path / 'mini', 0, small_counts)
    assert [p.name for p in tmp_path.iterdir()] == ['mini']


def test_a_faster_process_wins(small_root: Path, small_counts: Counts, tmp_path: Path):
    root = tmp_path / 'mini'

    def other_finishes(what: str, done: int, total: int) -> None:
        if done == total:
            shutil.copytree(small_root, root)
            (root / 'read by now').touch()

    assert ensure_mini_data(root, 0, small_counts, other_finishes) == root
    assert (root / 'read by now').is_file()
    assert list(tmp_path.iterdir()) == [root]


def test_foreign_folders_are_left_alone(tmp_path: Path):
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'thesis.txt').write_text('years of work')
    with pytest.raises(UserError, match=r'mine exists and is no mini data folder') as caught:
        write_mini_data(tmp_path / 'mine')
    assert '\n' not in str(caught.value)
    assert (tmp_path / 'mine' / 'thesis.txt').is_file()


def test_an_empty_folder_is_filled(small_counts: Counts, tmp_path: Path):
    (tmp_path / 'mini').mkdir()
    write_mini_data(tmp_path / 'mini', 0, small_counts)
    assert read_marker(tmp_path / 'mini')


def test_negative_seed(tmp_path: Path):
    with pytest.raises(ValueError, match='seed must be 0 or more, got -1'):
        write_mini_data(tmp_path / 'mini', -1)


def test_tool_writes_below_the_working_directory(repo_root: Path, mini_root: Path):
    command = [sys.executable, str(repo_root / 'tools' / 'make_mini_data.py')]
    done = subprocess.run(command, cwd=mini_root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f'{mini_root / "data" / "mini"}: already there, seed 0' in done.stdout
    assert '160 training and 40 validation' in done.stdout


@pytest.fixture(scope='module')
def tool(repo_root: Path) -> Callable[[], int]:
    """The tool's main function."""
    return runpy.run_path(str(repo_root / 'tools' / 'make_mini_data.py'))['main']


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('--root', 'file/mini'), 'cannot write the mini data to file/mini: not below a folder'),
        (('--root', 'file'), 'file exists and is no mini data folder'),
        (('--seed', '-3'), 'argument --seed: must be 0 or more, got -3'),
    ],
)
def test_tool_says_what_is_wrong(
    arguments: tuple[str, str],
    message: str,
    tool: Callable[[], int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    (tmp_path / 'file').touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', ['make_mini_data.py', *arguments])
    try:
        code = tool()
    except SystemExit as error:
        code = error.code
    assert code == 2
    assert message in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ['file']
