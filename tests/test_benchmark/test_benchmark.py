"""The benchmark: what it measures is there and fits together, and what cannot run says so. Never how long it takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from dev.benchmark import models
from dev.benchmark.cli import main as benchmark
from dev.benchmark.clock import Clock
from dev.benchmark.limit import arithmetic_limit
from dev.benchmark.models import NotHereError
from dev.benchmark.run import Result, Setting, run_setting
from dev.benchmark.table import format_results
from torch import nn

from mmsepvit.errors import UserError
from mmsepvit.models import SepViT

SMALL = ['--sizes', '32', '--rounds', '1']


def not_there() -> nn.Module:
    raise NotHereError('nothing is not installed')


@pytest.fixture(autouse=True)
def light_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """The models by their names, but in seconds."""
    light = {
        'sepvit-tiny': lambda: SepViT('lite'),
        'plain-tiny': lambda: models.PlainSepViT('lite'),
        'swin-tiny': not_there,
        'twins-svt-small': lambda: SepViT('lite', out_indices=(3,)),
    }
    monkeypatch.setattr(models, 'BUILDERS', {**models.BUILDERS, **light})


def test_results_pictures_and_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, plots = tmp_path / 'results.json', tmp_path / 'plots'
    benchmark(['--sizes', '32', '64x40', '--rounds', '2', '--out', str(out), '--plots', str(plots)])
    table = capsys.readouterr().out
    content = json.loads(out.read_text())
    assert {'cpu', 'cores', 'threads', 'torch', 'packages', 'load', 'time'} <= set(content['machine'])
    results = [Result.from_dict(values) for values in content['results']]
    assert len(results) == 2 * 2 * 4  # modes, sizes, models
    by_model = {name: [result for result in results if result.model == name] for name in models.BUILDERS}
    for result in by_model['sepvit-tiny'] + by_model['plain-tiny']:
        assert result.error is None
        assert len(result.times) == len(result.ratios) == len(result.over_limit) == 2
        assert min(result.times + result.over_limit) > 0
        assert min(result.saved_bytes, result.copied_bytes, result.operators) > 0
        assert {'linear', 'convolution'} <= set(result.limit)
    assert all(result.ratios == [1, 1] for result in by_model['sepvit-tiny'])
    assert all(result.error == 'NotHereError: nothing is not installed' for result in by_model['swin-tiny'])
    assert all('1 maps instead of four' in result.error for result in by_model['twins-svt-small'])
    names = {
        f'{kind}_{mode}_fp32_eager.png' for kind in ('bars', 'growth_pixels') for mode in ('inference', 'training')
    }
    assert {path.name for path in plots.iterdir()} == names
    assert '**training, 64x40, batch 1, fp32, eager**' in table

    benchmark(['--load', str(out)])
    assert capsys.readouterr().out == table


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    benchmark([*SMALL, '--models', 'sepvit-tiny', '--modes', 'inference', '--json'])
    (result,) = json.loads(capsys.readouterr().out)['results']
    assert result['setting'] == {
        'size': [32, 32],
        'batch': 1,
        'precision': 'fp32',
        'mode': 'inference',
        'engine': 'eager',
    }


@pytest.mark.parametrize('mode', ['inference', 'training'])
def test_half_precision(mode: str) -> None:
    (result,) = run_setting(['sepvit-tiny'], Setting((64, 64), 2, 'bf16', mode, 'eager'), rounds=1)
    assert result.error is None, result.error


def test_wrong_outputs_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('dev.benchmark.run._TOLERANCE', {'bf16': 0.0})
    (result,) = run_setting(['sepvit-tiny'], Setting((64, 64), 1, 'bf16', 'inference', 'eager'), rounds=1)
    assert 'outputs are' in result.error
    assert not result.times
    assert 'outputs are' in format_results({'packages': {}, **dict.fromkeys(MACHINE)}, [result])


MACHINE = ('gpu', 'cpu', 'threads', 'cores', 'load', 'torch', 'time')


def test_limit_counts_every_product() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    limit = arithmetic_limit(lambda: model(torch.ones(4, 8)).sum().backward(), Clock('cpu'))
    assert limit.calls == {'linear': 2 + 3}  # backward: two weights, and one input that needs a gradient
    assert limit.total > 0


def test_unknown_model_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(UserError, match=r"there is no 'swin-tny'\. Did you mean swin-tiny"):
        benchmark(['--models', 'swin-tny'])


def test_load_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='no such file'):
        benchmark(['--load', str(tmp_path / 'none.json')])
    (tmp_path / 'bad.json').write_text('[]')
    with pytest.raises(UserError, match='not what --out writes'):
        benchmark(['--load', str(tmp_path / 'bad.json')])


def test_several_results_of_one_machine_make_one_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two, other = (tmp_path / f'{name}.json' for name in ('one', 'two', 'other'))
    benchmark([*SMALL, '--models', 'sepvit-tiny', '--modes', 'inference', '--out', str(one)])
    benchmark([*SMALL, '--models', 'sepvit-tiny', '--modes', 'training', '--out', str(two)])
    capsys.readouterr()
    benchmark(['--load', str(one), str(two)])
    table = capsys.readouterr().out
    assert '**inference, ' in table
    assert '**training, ' in table
    content = json.loads(one.read_text())
    content['machine']['torch'] = '0.1'
    other.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"other\.json': measured with another torch than"):
        benchmark(['--load', str(one), str(other)])


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize(
    ('engine', 'precision', 'least'),
    [
        ('onnxruntime', 'fp32', 0.99999),
        pytest.param('openvino', 'fp32', 0.99999, marks=pytest.mark.slow),
        pytest.param('openvino', 'bf16', 0.99, marks=pytest.mark.slow),
    ],
)
def test_exported_files_beside_eager(engine: str, precision: str, least: float) -> None:
    setting = Setting((64, 40), 1, precision, 'inference', engine)
    (result,) = run_setting(['sepvit-tiny'], setting, rounds=2)
    assert result.error is None
    assert len(result.times) == len(result.over_eager) == 2
    assert least <= result.cosine <= 1.00001
    table = format_results({'packages': {}, **dict.fromkeys(MACHINE)}, [result])
    assert f'64x40, batch 1, {precision}, {engine}**' in table
    assert f'| {result.cosine:.4f} |' in table


def test_what_no_runtime_does_says_so() -> None:
    for setting in (
        Setting((32, 32), 1, 'int8', 'inference', 'eager'),
        Setting((32, 32), 1, 'bf16', 'inference', 'onnxruntime'),
        Setting((32, 32), 1, 'fp32', 'training', 'openvino'),
    ):
        (result,) = run_setting(['sepvit-tiny'], setting, rounds=1)
        assert result.error
        assert result.error.startswith('AssertionError: ')
