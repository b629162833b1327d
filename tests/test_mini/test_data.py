from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from mmsepvit.cli.command import run_command
from mmsepvit.cli.make_mini_data import main
from mmsepvit.datasets.mini import Counts, ensure_mini_data, write_mini_data
from mmsepvit.datasets.mini.data import MARKER, read_marker
from mmsepvit.errors import UserError


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob('*')) if p.is_file()}


def left_beside(root: Path) -> list[str]:
    """What is in the folder's folder besides it and the lock, which stays."""
    return [p.name for p in root.parent.iterdir() if p.name not in (root.name, f'.{root.name}.lock')]


class StopError(Exception):
    pass


def stop_at(number: int, error: type[BaseException] = StopError):
    def progress(what: str, done: int, total: int) -> None:
        if done == number:
            raise error

    return progress


def test_the_same_seed_gives_the_same_annotations(small_root: Path, small_counts: Counts, tmp_path: Path) -> None:
    first, again = contents(small_root), contents(write_mini_data(tmp_path / 'mini', 0, small_counts))
    other = contents(write_mini_data(tmp_path / 'other', 1, small_counts))
    assert first.keys() == again.keys() == other.keys()
    annotations = [name for name in first if name.endswith(('.json', '.xml', '.txt')) or 'annotations/' in name]
    assert len(annotations) > 4 * small_counts.train
    assert all(first[name] == again[name] for name in annotations)
    assert sum(first[name] != other[name] for name in annotations) > 2 * small_counts.train


def test_more_training_scenes_keep_the_others(small_root: Path, small_counts: Counts, tmp_path: Path) -> None:
    fewer = Counts(3, small_counts.val, 1, 1)
    less, full = contents(write_mini_data(tmp_path / 'mini', 0, fewer)), contents(small_root)
    assert all(less[name] == full[name] for name in less if name.endswith('.png'))


def test_written_once(small_counts: Counts, tmp_path: Path) -> None:
    root = tmp_path / 'data' / 'mini'
    steps: list[tuple] = []
    arguments = (0, small_counts, lambda *step: steps.append(step))
    assert ensure_mini_data(str(root), *arguments) == root
    assert [step[1:] for step in steps] == [(i + 1, small_counts.total) for i in range(small_counts.total)]
    steps.clear()
    ensure_mini_data(root, *arguments)
    assert steps == []

    picture = root / 'ade/ADEChallengeData2016/images/training/ADE_train_00000001.jpg'
    picture.unlink()
    ensure_mini_data(root, *arguments)
    assert len(steps) == small_counts.total
    assert picture.is_file()

    ensure_mini_data(root, 7, small_counts)
    assert read_marker(root)['seed'] == 7
    assert left_beside(root) == []


def test_an_older_generators_data_is_replaced(small_root: Path, small_counts: Counts, tmp_path: Path) -> None:
    root = Path(shutil.copytree(small_root, tmp_path / 'mini'))
    marker = json.loads((root / MARKER).read_text())
    (root / MARKER).write_text(json.dumps({**marker, 'generator_version': 0}))
    (root / 'left_over.txt').write_text('of the old version')
    ensure_mini_data(root, 0, small_counts)
    assert contents(root).keys() == contents(small_root).keys()


@pytest.mark.parametrize('error', [KeyboardInterrupt, StopError])
@pytest.mark.parametrize('at', [1, 28])
def test_interrupted_writing_leaves_nothing(error: type, at: int, small_counts: Counts, tmp_path: Path) -> None:
    assert small_counts.total == 28
    with pytest.raises(error):
        write_mini_data(tmp_path / 'data' / 'mini', 0, small_counts, stop_at(at, error))
    assert not (tmp_path / 'data' / 'mini').exists()
    assert left_beside(tmp_path / 'data' / 'mini') == []


def test_interrupted_writing_keeps_the_old_data(small_root: Path, small_counts: Counts, tmp_path: Path) -> None:
    root = Path(shutil.copytree(small_root, tmp_path / 'mini'))
    with pytest.raises(StopError):
        write_mini_data(root, 3, small_counts, stop_at(2))
    assert contents(root) == contents(small_root)
    assert left_beside(root) == []


def _write_and_die(root: Path) -> None:
    write_mini_data(root, progress=lambda *_: os.kill(os.getpid(), signal.SIGKILL))


def test_what_a_killed_process_left_is_removed(small_counts: Counts, tmp_path: Path) -> None:
    root = tmp_path / 'mini'
    process = multiprocessing.get_context('fork').Process(target=_write_and_die, args=(root,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert left_beside(root) == ['.mini.made']  # nothing can clean up after a SIGKILL
    ensure_mini_data(root, 0, small_counts)
    assert left_beside(root) == []


def test_processes_that_ask_at_once_write_once(small_counts: Counts, tmp_path: Path) -> None:
    root = tmp_path / 'mini'
    context = multiprocessing.get_context('fork')
    drawn = context.Value('i', 0)

    def ask() -> None:
        def count(*_: object) -> None:
            with drawn.get_lock():
                drawn.value += 1

        ensure_mini_data(root, 0, small_counts, count)

    processes = [context.Process(target=ask) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert drawn.value == small_counts.total


def test_the_lock_harms_no_file(small_counts: Counts, tmp_path: Path) -> None:
    thesis = tmp_path / 'thesis.txt'
    thesis.write_text('years of work')
    lock = tmp_path / '.mini.lock'
    lock.symlink_to(thesis)
    with pytest.raises(UserError, match='cannot write the mini data'):
        ensure_mini_data(tmp_path / 'mini', 0, small_counts)
    lock.unlink()
    os.link(thesis, lock)
    ensure_mini_data(tmp_path / 'mini', 0, small_counts)
    assert thesis.read_text() == 'years of work'


def test_without_file_locks(small_counts: Counts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, which has no fcntl."""
    monkeypatch.setitem(sys.modules, 'fcntl', None)
    assert read_marker(ensure_mini_data(tmp_path / 'mini', 0, small_counts))


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'thesis.txt').write_text('years of work')
    with pytest.raises(UserError, match=r'mine exists and is no mini data folder') as caught:
        write_mini_data(tmp_path / 'mine')
    assert '\n' not in str(caught.value)
    assert (tmp_path / 'mine' / 'thesis.txt').is_file()


def test_an_empty_folder_is_filled(small_counts: Counts, tmp_path: Path) -> None:
    (tmp_path / 'mini').mkdir()
    write_mini_data(tmp_path / 'mini', 0, small_counts)
    assert read_marker(tmp_path / 'mini')


def test_negative_seed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='seed must be 0 or more, got -1'):
        write_mini_data(tmp_path / 'mini', -1)


def test_tool(mini_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(mini_root)
    assert main([]) == 0
    out = capsys.readouterr().out
    assert f'{mini_root / "data" / "mini"}: already there, seed 0' in out
    assert f'{Counts().train} training and {Counts().val} validation' in out


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--root', 'file/mini'], 'cannot write the mini data to file/mini: not below a folder'),
        (['--root', 'file'], 'file exists and is no mini data folder'),
        (['--seed', '-3'], 'argument --seed: -3 is less than 0'),
    ],
)
def test_tool_says_what_is_wrong(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / 'file').touch()
    monkeypatch.chdir(tmp_path)
    try:
        code = run_command(main, arguments)
    except SystemExit as error:
        code = error.code
    assert code == 2
    assert message in capsys.readouterr().err
    assert left_beside(tmp_path / 'file') == []
