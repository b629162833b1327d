"""A killed and resumed training ends with the weights of an uninterrupted one, bit for bit."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch
from long_runs import assert_equal, assert_same_run, load, run, run_process, with_hooks
from small_runs import small_config

from mmsepvit.checkpoints.start import latest_checkpoint

SCHEDULES = {
    # A checkpoint after three iterations, killed before the sixth of six.
    'seg': (
        ['train_cfg.max_iters=6', 'train_cfg.val_interval=3', 'default_hooks.checkpoint.interval=3'],
        5,
        'iter_3.pth',
        'iter_6.pth',
    ),
    # A checkpoint after the first of two epochs of two iterations, killed in the second.
    'cls': (['train_cfg.max_epochs=2'], 3, 'epoch_1.pth', 'epoch_2.pth'),
}


@pytest.mark.parametrize('task', ['seg', 'cls'])
def test_killed_and_resumed_equals_uninterrupted(task: str, in_mini_root: Path, tmp_path: Path) -> None:
    options, kill_at, saved, last = SCHEDULES[task]
    run(task, tmp_path / 'whole', options=options)

    config = with_hooks(tmp_path / 'config', task, {'type': 'SignalAt', 'iteration': kill_at})
    work_dir = tmp_path / 'killed'
    killed = run_process(config, task, work_dir, in_mini_root, options)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    assert (work_dir / saved).is_file()
    assert not (work_dir / last).exists()

    # With workers, which draw in processes of their own.
    workers = ['train_dataloader.num_workers=2', 'train_dataloader.persistent_workers=True']
    before = load(work_dir / saved)['state_dict']
    assert run(task, work_dir, '--resume', options=options + workers) == 0

    assert_same_run(tmp_path / 'whole' / last, work_dir / last)
    # and the training did something between the two checkpoints
    after = load(work_dir / last)['state_dict']
    assert any(not torch.equal(before[key], after[key]) for key in before)


def test_resume_from_named_checkpoint_with_another_seed(in_mini_root: Path, tmp_path: Path) -> None:
    """The run belongs to the seed it began with, whatever the config says now."""
    options = SCHEDULES['seg'][0]
    seed = ['randomness.seed=5']
    run('seg', tmp_path / 'whole', options=options + seed)
    checkpoint = str(tmp_path / 'whole' / 'iter_3.pth')
    run('seg', tmp_path / 'other', '--resume', checkpoint, options=options)
    whole, other = (load(tmp_path / name / 'iter_6.pth') for name in ('whole', 'other'))
    assert_equal(whole['state_dict'], other['state_dict'])


def test_other_seed_is_another_run(in_mini_root: Path, tmp_path: Path) -> None:
    """Else the equalities above would say nothing."""
    weights = []
    for seed in (0, 1):
        run('seg', tmp_path / str(seed), options=[f'randomness.seed={seed}', 'train_cfg.max_iters=1'])
        weights.append(load(tmp_path / str(seed) / 'iter_1.pth')['state_dict'])
    assert any(not torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_resume_without_checkpoint_starts(in_mini_root: Path, tmp_path: Path) -> None:
    run('seg', tmp_path, '--resume', options=['train_cfg.max_iters=1'])
    assert (tmp_path / 'iter_1.pth').is_file()


def test_latest_readable_checkpoint(tmp_path: Path) -> None:
    for step in (2, 4, 10):
        torch.save({'state_dict': {'weight': torch.zeros(1)}}, tmp_path / f'iter_{step}.pth')
    (tmp_path / 'last_checkpoint').write_text('/moved/from/elsewhere/iter_4.pth')
    assert latest_checkpoint(str(tmp_path)) == (str(tmp_path / 'iter_4.pth'), [])

    # Killed while it saved: the note names a file that is not whole.
    whole = (tmp_path / 'iter_4.pth').read_bytes()
    (tmp_path / 'iter_4.pth').write_bytes(whole[:-20])
    path, notes = latest_checkpoint(str(tmp_path))
    assert path == str(tmp_path / 'iter_10.pth')
    assert len(notes) == 1
    assert 'iter_4.pth' in notes[0]

    (tmp_path / 'last_checkpoint').unlink()
    assert latest_checkpoint(str(tmp_path))[0] == str(tmp_path / 'iter_10.pth')


EMA = {'type': 'EMAHook', 'momentum': 0.1}
DETECTION = [
    {'type': 'LoadImageFromFile'},
    {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True},
    {'type': 'Resize', 'scale': (128, 96), 'keep_ratio': True},
    {'type': 'PackDetInputs'},
]
CLASSIFICATION = [{'type': 'LoadImageFromFile'}, {'type': 'Resize', 'scale': 64}, {'type': 'PackInputs'}]
SWITCHES = {
    'det': {'type': 'PipelineSwitchHook', 'switch_epoch': 1, 'switch_pipeline': DETECTION},
    'cls': {
        'type': 'SwitchRecipeHook',
        'schedule': [{'action_epoch': 2, 'train_pipeline': CLASSIFICATION, 'batch_augments': None}],
    },
}
PLATEAU = {'type': 'ReduceOnPlateauLR', 'monitor': 'mIoU', 'rule': 'greater', 'patience': 0, 'threshold': 100.0}

KINDS = {
    'ema': ('seg', [], [EMA]),
    'bf16': ('seg', [], []),
    'accumulation': ('seg', ['optim_wrapper.accumulative_counts=3'], []),
    'finite sampler': ('seg', ['train_dataloader.sampler.type=DefaultSampler'], []),
    'epochs with EMA': ('cls', [], [EMA]),
    'batches of like shapes': ('det', [], []),
}
SLOW_KINDS = {
    'epochs': ('cls', [], []),
    'EMA of both kinds': ('cls', [], [{**EMA, 'type': 'mmpretrain.EMAHook', 'evaluate_on_origin': True}]),
    'compiled': ('seg', ['compile=True'], []),
    'switched pipeline': ('det', [], [SWITCHES['det']]),
    'switched recipe': ('cls', [], [SWITCHES['cls']]),
    'rate by the score': ('seg', ['train_cfg.val_interval=1'], []),
}


@pytest.mark.parametrize('kind', [*KINDS, *(pytest.param(kind, marks=pytest.mark.slow) for kind in SLOW_KINDS)])
def test_stopped_anywhere_and_resumed_equals_uninterrupted(kind: str, in_mini_root: Path, tmp_path: Path) -> None:
    """In the middle of an epoch, of an accumulation, of a schedule; with batches that a sampler of batches makes."""
    task, more, hooks = {**KINDS, **SLOW_KINDS}[kind]
    amp = ['--amp', 'bf16'] if kind == 'bf16' else []
    if task == 'seg':
        options = ['train_cfg.max_iters=6', 'train_cfg.val_interval=6', 'default_hooks.checkpoint.interval=6', *more]
        last = 'iter_6.pth'
    else:
        options = ['train_cfg.max_epochs=2', 'train_dataloader.num_batch_per_epoch=3', *more]
        last = 'epoch_2.pth'

    def config(name: str, at: int, signal_name: str = 'SIGKILL') -> str:
        path = with_hooks(tmp_path / name, task, {'type': 'SignalAt', 'iteration': at, 'name': signal_name}, *hooks)
        if kind == 'rate by the score':
            with Path(path).open('a') as file:
                file.write(f'param_scheduler = [{PLATEAU!r}]\n')
        return path

    whole = config('a', -1)
    assert run(task, tmp_path / 'whole', *amp, options=options, config=whole) == 0
    stopped = config('b', 3 if task == 'seg' else 4, 'SIGTERM')
    assert run(task, tmp_path / 'stopped', *amp, options=options, config=stopped) == 128 + signal.SIGTERM
    assert (tmp_path / 'stopped' / 'stopped.pth').is_file()
    assert run(task, tmp_path / 'stopped', '--resume', *amp, options=options, config=whole) == 0
    assert not (tmp_path / 'stopped' / 'stopped.pth').exists()
    assert_same_run(tmp_path / 'whole' / last, tmp_path / 'stopped' / last)
    if kind == 'rate by the score':
        assert load(tmp_path / 'whole' / last)['optimizer']['param_groups'][0]['lr'] < 1e-5


@pytest.mark.parametrize('stage', ['val', 'validated'])
@pytest.mark.parametrize('iteration', [3, 6])
def test_validation_lost_by_a_kill_is_done_again(
    stage: str, iteration: int, in_mini_root: Path, tmp_path: Path
) -> None:
    """Killed in a validation or at its end, in the middle of the run or after its last iteration."""
    options = SCHEDULES['seg'][0]
    run('seg', tmp_path / 'whole', options=options)
    config = with_hooks(tmp_path, 'seg', {'type': 'SignalAt', 'iteration': iteration, 'stage': stage})
    killed = run_process(config, 'seg', tmp_path / 'killed', in_mini_root, options)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    assert run('seg', tmp_path / 'killed', '--resume', options=options) == 0
    assert_same_run(tmp_path / 'whole' / 'iter_6.pth', tmp_path / 'killed' / 'iter_6.pth')
    files = [sorted(file.name for file in (tmp_path / name).glob('*.pth')) for name in ('whole', 'killed')]
    assert files[0] == files[1]
    log = max((tmp_path / 'killed').glob('*/*.log')).read_text()
    assert log.count('mIoU:') == (2 if iteration == 3 else 1)


def test_validation_that_was_done_is_not_done_again(in_mini_root: Path, tmp_path: Path) -> None:
    options = SCHEDULES['seg'][0]
    run('seg', tmp_path, options=options)
    assert run('seg', tmp_path, '--resume', options=options) == 0
    assert 'mIoU:' not in max(tmp_path.glob('*/*.log'), key=lambda file: file.stat().st_mtime).read_text()


def linear(end: int) -> dict:
    return {'type': 'PolyLR', 'power': 1.0, 'eta_min': 0.0, 'begin': 0, 'end': end, 'by_epoch': False}


def steps(*milestones: int) -> dict:
    return {'type': 'MultiStepLR', 'milestones': list(milestones), 'gamma': 0.1, 'by_epoch': False}


def warm_up(end: int) -> dict:
    return {'type': 'LinearLR', 'start_factor': 0.1, 'begin': 0, 'end': end, 'by_epoch': False}


# Schedulers before and after, and options that say what --mini would scale.
CHANGES = {
    'another class': ([linear(8)], [{'type': 'CosineAnnealingLR', 'T_max': 8, 'by_epoch': False}], []),
    'other milestones': ([steps(2, 7)], [steps(6)], ['param_scheduler.0.milestones=[{}]']),
    'a warm-up more': ([linear(8)], [warm_up(5), linear(8)], []),
    'a warm-up less': ([warm_up(5), linear(8)], [linear(8)], []),
}


class TestChangedSchedule:
    """What the config asks for counts, and the log says what differs."""

    LINEAR = ('power=1.0', 'eta_min=0.0', 'begin=0', 'end={}')

    def options(self, iterations: int, end: int, *more: str) -> list[str]:
        interval = [f'train_cfg.val_interval={iterations}', 'default_hooks.checkpoint.interval=2']
        linear = [f'param_scheduler.0.{setting}'.format(end) for setting in self.LINEAR]
        return [f'train_cfg.max_iters={iterations}', *interval, *linear, *more]

    def rates(self, folder: Path) -> dict[int, float]:
        return {int(f.stem.split('_')[1]): load(f)['optimizer']['param_groups'][0]['lr'] for f in folder.glob('iter_*')}

    def test_longer(self, in_mini_root: Path, tmp_path: Path) -> None:
        more = ['optim_wrapper.optimizer.lr=0.001', 'default_hooks.checkpoint.max_keep_ckpts=9']
        run('seg', tmp_path / 'long', options=self.options(8, 8, *more))
        run('seg', tmp_path / 'short', options=self.options(4, 4, *more))
        assert self.rates(tmp_path / 'short')[4] < 0.001 / 3
        assert run('seg', tmp_path / 'short', '--resume', options=self.options(8, 8, *more)) == 0
        long, resumed = self.rates(tmp_path / 'long'), self.rates(tmp_path / 'short')
        assert [resumed[i] for i in (6, 8)] == pytest.approx([long[i] for i in (6, 8)])
        log = max((tmp_path / 'short').glob('*/*.log'), key=lambda file: file.stat().st_mtime).read_text()
        assert 'param_scheduler.0.end was 4, is 8' in log

    def test_other_rate_and_decay(self, in_mini_root: Path, tmp_path: Path) -> None:
        options = self.options(4, 8, 'optim_wrapper.optimizer.lr=0.001')
        run('seg', tmp_path, options=options)
        now = self.options(6, 8, 'optim_wrapper.optimizer.lr=0.002', 'optim_wrapper.optimizer.weight_decay=0.3')
        assert run('seg', tmp_path, '--resume', options=now) == 0
        group = load(tmp_path / 'iter_6.pth')['optimizer']['param_groups'][0]
        assert group['lr'] == pytest.approx(0.002 * (8 - 1 - 6) / 7)
        assert group['weight_decay'] == 0.3

    @pytest.mark.parametrize(
        'kind', [pytest.param(kind, marks=[pytest.mark.slow] * ('warm-up' not in kind)) for kind in CHANGES]
    )
    def test_another_schedule(self, kind: str, in_mini_root: Path, tmp_path: Path) -> None:
        """From where the run goes on, its rates are those of a run that has had the new schedule from its start."""
        *changes, more = CHANGES[kind]
        for name, schedulers in zip(('old', 'new'), changes):
            (tmp_path / name).mkdir()
            text = f'_base_ = {small_config("seg")!r}\nparam_scheduler = {schedulers!r}\n'
            (tmp_path / name / 'seg.py').write_text(text)
        old, new = (str(tmp_path / name / 'seg.py') for name in ('old', 'new'))
        more_old, more_new = ([option.format(m) for option in more] for m in ('2,7', '6'))
        options = ['optim_wrapper.optimizer.lr=0.001', 'train_cfg.val_interval=9']
        options += ['default_hooks.checkpoint.interval=1', 'default_hooks.checkpoint.max_keep_ckpts=9']
        longer = [*options, *more_new, 'train_cfg.max_iters=6']
        run('seg', tmp_path / 'whole', options=longer, config=new)
        run('seg', tmp_path / 'changed', options=[*options, *more_old, 'train_cfg.max_iters=3'], config=old)
        assert run('seg', tmp_path / 'changed', '--resume', options=longer, config=new) == 0
        whole, changed = self.rates(tmp_path / 'whole'), self.rates(tmp_path / 'changed')
        assert changed[3] != pytest.approx(whole[3])
        assert [changed[i] for i in (4, 5, 6)] == pytest.approx([whole[i] for i in (4, 5, 6)])


def test_other_parameter_groups_are_a_message(
    in_mini_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    options = SCHEDULES['seg'][0]
    run('seg', tmp_path, options=options)
    checkpoint = load(tmp_path / 'iter_6.pth')
    checkpoint['optimizer']['param_groups'] *= 2
    torch.save(checkpoint, tmp_path / 'iter_6.pth')
    assert run('seg', tmp_path, '--resume', options=[*options, 'train_cfg.max_iters=8']) == 2
    message = capsys.readouterr().err.strip().splitlines()
    assert len(message) <= 3
    assert 'load_from=' in message[-1]


def test_config_in_a_checkpoint_is_not_run(in_mini_root: Path, tmp_path: Path) -> None:
    """mmengine runs ``meta['config']`` as a Python file when it resumes."""
    options = SCHEDULES['seg'][0]
    run('seg', tmp_path / 'work', options=options)
    path = tmp_path / 'work' / 'iter_6.pth'
    checkpoint = load(path)
    checkpoint['meta']['config'] = f'import pathlib\npathlib.Path({str(tmp_path / "trace")!r}).touch()\n'
    torch.save(checkpoint, path)
    assert run('seg', tmp_path / 'work', '--resume', options=[*options, 'train_cfg.max_iters=7']) == 0
    assert not (tmp_path / 'trace').exists()
