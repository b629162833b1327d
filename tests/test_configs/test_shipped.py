"""Config files by name, for clients that take a path."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

import mmsepvit
from mmsepvit.errors import UserError


@pytest.mark.parametrize('name', ['upernet_sepvit_t_ade20k', 'upernet_sepvit_t_ade20k.py'])
def test_a_config_is_found_by_name_from_any_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = mmsepvit.config(name)
    assert type(path) is str
    assert Path(path).is_absolute()
    assert Config.fromfile(path).model.backbone.arch == 'tiny'


@pytest.mark.parametrize('name', ['upernet_sepvit_t_ade2k', '_base_/models/upernet_sepvit', '', '../setup'])
def test_what_is_no_config_of_ours_is_refused(name: str) -> None:
    with pytest.raises(UserError, match='has no config'):
        mmsepvit.config(name)


def test_a_mistyped_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r'Did you mean .*upernet_sepvit_t_ade20k'):
        mmsepvit.config('upernet_sepvit_t_ade2k')
