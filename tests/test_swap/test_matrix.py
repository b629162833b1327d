"""The coverage tool: what it tries, how it takes each kind of end, that it goes on where it stopped."""

from __future__ import annotations

import os
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from dev.swap_matrix import matrix
from dev.swap_matrix.matrix import Outcome, append, folders, plan, read_log, signature, try_one
from dev.swap_matrix.report import folder_kind, summary, write

from mmsepvit.configs.swap import load

GB = 2**30


def outcome(folder: str, config: str, kind: str, version: str = '1.0') -> Outcome:
    return Outcome('mmseg', folder, config, kind, 'a | b', version=version, beside='torch 2')


def test_walks_every_algorithm_folder() -> None:
    root = matrix.package_configs('mmseg')
    named = {p.parts[0] for p in (f.relative_to(root) for f in root.rglob('*.py'))} - {'_base_'}
    assert set(folders('mmseg')) == named
    assert len(named) > 40


def test_one_config_of_each_structure() -> None:
    tried = list(plan(('mmseg',), ('setr', 'segformer'), 9))
    forms = [signature(load(f'{package}::{file}')) for package, _, file in tried]
    assert len(set(forms)) == len(forms)
    assert {folder for _, folder, _ in tried[:2]} == {'setr', 'segformer'}  # each folder once before any twice
    assert any('mla' in file for _, _, file in tried)
    assert sum(folder == 'segformer' for _, folder, _ in tried) == 1  # its sizes differ in widths only


def test_another_config_speaks_for_a_broken_one() -> None:
    (whole,) = plan(('mmseg',), ('upernet',), 1)
    broken, other = plan(('mmseg',), ('upernet',), 1, is_broken=lambda package, file: (package, file) == whole[::2])
    assert broken == whole
    assert other[2] != whole[2]


def test_time_and_memory_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    def sleep(*_: str) -> Outcome:
        time.sleep(60)
        raise AssertionError

    def die(*_: str) -> Outcome:
        os._exit(3)

    def eat(*_: str) -> Outcome:
        bytearray(4 * GB)
        raise AssertionError

    monkeypatch.setattr(matrix, 'classify', sleep)
    assert 'longer than' in try_one('mmseg', 'a', 'a/b.py', 'lite', 0.1, 8 * GB).detail
    monkeypatch.setattr(matrix, 'classify', die)
    assert 'exit code 3' in try_one('mmseg', 'a', 'a/b.py', 'lite', 30, 8 * GB).detail
    monkeypatch.setattr(matrix, 'classify', eat)
    assert try_one('mmseg', 'a', 'a/b.py', 'lite', 30, 3 * GB).kind == 'fails'


def test_log_keeps_the_last_of_each(tmp_path: Path) -> None:
    log = tmp_path / 'log.jsonl'
    assert read_log(log) == []
    for kind in ('fails', 'works'):
        append(log, outcome('ann', 'ann/a.py', kind))
    append(log, outcome('ann', 'ann/b.py', 'refused'))
    append(log, outcome('ann', 'ann/b.py', 'works', version='2.0'))
    assert {(o.config, o.version): o.kind for o in read_log(log)} == {
        ('ann/a.py', '1.0'): 'works',
        ('ann/b.py', '1.0'): 'refused',
        ('ann/b.py', '2.0'): 'works',
    }


def test_a_failure_counts_before_a_success(tmp_path: Path) -> None:
    found = [
        outcome('ann', 'ann/a.py', 'works'),
        outcome('ann', 'ann/b.py', 'refused'),
        outcome('fcn', 'fcn/a.py', 'works'),
        outcome('fcn', 'fcn/b.py', 'fails'),
    ]
    assert folder_kind(found[:2]) == 'works'
    assert folder_kind(found[2:]) == 'fails'
    assert summary(found) == {('mmseg', '1.0'): {'works': 1, 'fails': 1}}


def test_the_page_has_a_column_for_each_version(tmp_path: Path) -> None:
    found = [
        outcome('ann', 'ann/a.py', 'works'),
        outcome('ann', 'ann/a.py', 'works', version='2.0'),
        outcome('ann', 'ann/b.py', 'refused'),
        outcome('ann', 'ann/b.py', 'refused', version='2.0'),
        outcome('fcn', 'fcn/a.py', 'fails', version='2.0'),
    ]
    write(found, tmp_path / 'docs' / 'page.md', 'lite')
    page = (tmp_path / 'docs' / 'page.md').read_text()
    assert '| mmseg 1.0 | torch 2 | 1 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 1 of 2 |' in page
    assert '| mmseg 2.0 | torch 2 | 2 | 1 | 0 | 0 | 0 | 0 | 0 | 1 | 1 of 3 |' in page
    assert '| ann | works, 1 of 2 | works, 1 of 2 |  | refused: a \\| b |' in page
    assert '| fcn |  | fails, 0 of 1 |  | fails: a \\| b |' in page


def test_one_reason_of_several_files_is_told_once(tmp_path: Path) -> None:
    found = [
        replace(
            outcome('ann', f'ann/{name}.py', 'broken-upstream'),
            detail=f"config 'mmseg::ann/{name}.py' cannot be read: KeyError: 'test'\nIt comes from ann/{name}.py.",
        )
        for name in 'ab'
    ]
    write(found, tmp_path / 'page.md', 'lite')
    assert "|  | broken-upstream: its file cannot be read: KeyError: 'test' |" in (tmp_path / 'page.md').read_text()


def test_the_page_names_no_folder_of_this_machine() -> None:
    message = (
        "config 'mmdet::a/b.py' cannot be read: No such file: '/home/me/.venv/lib/python3.11/site-packages/mmdet/a.py'"
    )
    assert matrix._without_paths(message) == "config 'mmdet::a/b.py' cannot be read: No such file: 'mmdet/a.py'"
    page = (Path(__file__).parents[2] / 'docs' / 'swap_matrix.md').read_text()
    assert not re.search(r'/(home|root|work|usr)/|site-packages', page)
