"""Data that cannot be loaded: the run's last words name it, or it is left out where that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import planted
import pytest
import torch
from mmengine.dataset import BaseDataset, DefaultSampler
from mmengine.registry import DATASETS
from mmengine.runner import Runner

from mmsepvit.datasets.naming import DataError
from mmsepvit.engine.bad_data import GuardedDataset, guarded_dataloader
from mmsepvit.engine.left_out import LeftOut, NonEmptyBatches
from mmsepvit.engine.randomness import DrawnIndex, SeededDataset, seeded_dataloader

BAD = ('2.jpg', '5.jpg')


class Load:
    """Loads nothing, and cannot load some."""

    def __call__(self, results: dict) -> dict:
        if Path(results['img_path']).name in BAD:
            raise OSError(f'cut off {object()}')  # an address, another one in each process
        return {'inputs': torch.tensor([results['sample_idx']]), 'draw': np.random.rand()}


@DATASETS.register_module(force=True)
class Pictures(BaseDataset):
    def __init__(self, bad: bool = True) -> None:
        super().__init__(ann_file='list.txt', pipeline=[Load()], test_mode=True)
        self.bad = bad

    def load_data_list(self) -> list[dict]:
        return [{'img_path': f'photos/{i}.jpg'} for i in range(8)]


def loaded(config: dict) -> list[tuple[int, float]]:
    """Index and random number of all samples of a dataloader's epoch."""
    loader = NonEmptyBatches(Runner.build_dataloader(config, seed=3))
    found = []
    for batch in loader:
        found += [(int(sample), draw) for sample, draw in zip(batch['inputs'], batch['draw'])]
    return found


def dataloader(workers: int) -> dict:
    return {
        'batch_size': 2,
        'num_workers': workers,
        'dataset': {'type': 'Pictures'},
        'sampler': {'type': DefaultSampler, 'shuffle': False},
    }


@pytest.mark.parametrize('workers', [0, 1])
@pytest.mark.parametrize('training', [True, False])
def test_error_names_dataset_image_and_annotation(workers: int, training: bool) -> None:
    plain = dataloader(workers)
    config = seeded_dataloader(plain, seed=3) if training else guarded_dataloader(plain, None)
    with pytest.raises(DataError) as caught:
        loaded(config)
    first, second = str(caught.value).splitlines()
    assert first.startswith(
        "Pictures, sample 2, image 'photos/2.jpg', annotation file 'list.txt': Load: OSError: cut off"
    )
    assert 'test_bad_data.py:' in first
    assert '--skip-bad' in second


def test_wrappers_are_looked_into() -> None:
    pictures = {'type': 'Pictures'}
    repeated = {'type': 'RepeatDataset', 'times': 2, 'dataset': {'type': 'ConcatDataset', 'datasets': [pictures] * 2}}
    with pytest.raises(DataError, match=r"^Pictures, sample 5, image 'photos/5.jpg'"):
        GuardedDataset(repeated)[16 + 8 + 5]


def test_error_of_an_annotation_file_names_it(tmp_path: Path) -> None:
    (tmp_path / 'list.json').write_text('{')
    with pytest.raises(DataError, match=r"^BaseDataset, annotation file '.*list.json': JSONDecodeError"):
        GuardedDataset({'type': BaseDataset, 'ann_file': str(tmp_path / 'list.json')})
    with pytest.raises(TypeError, match='ann_fil'):  # a mistake of the config is not the data's
        GuardedDataset({'type': BaseDataset, 'ann_fil': ''})


@pytest.mark.parametrize('workers', [0, 2])
def test_another_sample_takes_the_place_in_training(tmp_path: Path, workers: int) -> None:
    left_out = LeftOut(tmp_path / f'{workers}.txt', limit=2)
    found = loaded(seeded_dataloader(dataloader(workers), seed=3, left_out=left_out))
    assert len(found) == 8
    assert [index for index, _ in found if index not in (2, 5)] == [index for index, _ in found]
    assert [index for index, _ in found[:2] + found[6:]] == [0, 1, 6, 7]
    assert sorted(name.split("'")[1] for name in left_out.lines()) == ['photos/2.jpg', 'photos/5.jpg']
    # The draw alone decides: workers, and what was met before, do not.
    alone = SeededDataset({'type': 'Pictures'}, 3, left_out=LeftOut(tmp_path / 'alone.txt', limit=2))
    sample = alone[DrawnIndex(5, (0, 5))]
    assert (int(sample['inputs']), sample['draw']) == found[5]


@pytest.mark.parametrize('workers', [0, 2])
def test_nothing_takes_the_place_in_validation(tmp_path: Path, workers: int) -> None:
    left_out = LeftOut(tmp_path / 'left_out.txt', limit=2)
    for batch_size in (1, 2, 3):
        config = guarded_dataloader({**dataloader(workers), 'batch_size': batch_size}, left_out)
        assert [index for index, _ in loaded(config)] == [0, 1, 3, 4, 6, 7]
    assert len(left_out.lines()) == 2  # each once, however often it is met


def test_no_more_than_asked_for_are_left_out(tmp_path: Path) -> None:
    left_out = LeftOut(tmp_path / 'left_out.txt', limit=1)
    with pytest.raises(DataError, match=r"'photos/5.jpg'(.|\n)*--skip-bad 1: 1 were left out before"):
        loaded(guarded_dataloader(dataloader(0), left_out))


def test_ranks_are_not_filled_up_with_samples_that_count_twice(tmp_path: Path) -> None:
    left_out = LeftOut(tmp_path / 'left_out.txt', limit=1)
    assert guarded_dataloader(dataloader(0), left_out)['sampler']['round_up'] is False
    assert 'round_up' not in guarded_dataloader(dataloader(0), None)['sampler']


# --- whole runs ---


@pytest.fixture(scope='module')
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from bad_runs import write_clean

    return write_clean(tmp_path_factory.mktemp('clean'))


@pytest.fixture
def spoil(clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable, str], tuple[str, Path]]:
    """Makes a spoilt copy of the clean data and a config that reads it; returns what to name, and the config."""
    from bad_runs import mini_config_file, spoilt_copy

    def make(plant: Callable, split: str) -> tuple[str, Path]:
        folder = tmp_path / f'{plant.__name__}_{split}'
        folder.mkdir()
        monkeypatch.chdir(folder)
        place = spoilt_copy(clean, folder, plant, split)
        return place, mini_config_file(plant.__name__.split('_')[0], folder)

    return make


ENDS_A_RUN = [
    (planted.ade_image_empty, 'train'),
    (planted.ade_sizes_differ, 'val'),
    (planted.ade_class_151, 'train'),
    (planted.coco_mask_missing, 'train'),
    (planted.coco_box_beside_a_turned_image, 'train'),  # the losses would be NaN
    (planted.coco_polygon_of_two_points, 'val'),  # which pycocotools finds when the results are there
    (planted.coco_json_truncated, 'val'),
    (planted.imagenet_label_1000, 'train'),
    (planted.imagenet_not_an_image, 'val'),
]


@pytest.mark.parametrize(
    ('plant', 'split'), ENDS_A_RUN, ids=[f'{plant.__name__}-{split}' for plant, split in ENDS_A_RUN]
)
def test_last_words_name_the_file(spoil: Callable, plant: Callable, split: str, tmp_path: Path) -> None:
    from bad_runs import train

    place, config = spoil(plant, split)
    words = train(config, tmp_path / 'work')
    assert words is not None
    assert words.startswith('DataError: ')
    assert is_named(place, split, words)
    assert len(words.splitlines()) <= 3


def is_named(place: str, split: str, words: str) -> bool:
    """Whether words name what was spoilt: an image, or the file that an annotation with a number is in."""
    return (f'instances_{split}2017.json' if place.startswith('annotation') else place) in words


def test_batch_that_ends_a_run_is_logged(spoil: Callable, tmp_path: Path) -> None:
    from bad_runs import train

    # Only in training are labels compared with the head's classes; this preprocessor needs it in validation too.
    place, config = spoil(planted.imagenet_label_1000, 'val')
    words = train(config, tmp_path / 'work')
    assert words.startswith('RuntimeError: ')
    [log] = (tmp_path / 'work').glob('*/*.log')
    [line] = [line for line in log.read_text().splitlines() if 'this batch ended the run' in line]
    assert place in line


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, map_location='cpu', weights_only=False)['state_dict']


def test_bad_samples_are_left_out_and_a_resumed_run_stays_the_same(spoil: Callable, tmp_path: Path) -> None:
    from bad_runs import train

    _, config = spoil(planted.ade_image_empty, 'train')
    planted.ade_annotation_empty(Path('data/mini/ade/ADEChallengeData2016'), 'val')
    one, two = tmp_path / 'one', tmp_path / 'two'
    assert train(config, one, '--skip-bad', '2') is None
    [listed] = one.glob('*/left_out.txt')
    names = listed.read_text()
    assert names.count('\n') == 2
    assert 'ADE_train_00000001.jpg' in names
    assert 'ADE_val_00000001.png' in names
    [log] = one.glob('*/*.log')
    text = log.read_text()
    assert text.count('left out: ADE20KDataset') == 2
    assert '--skip-bad: 2 samples were left out' in text
    assert 'mIoU' in text

    assert train(config, two, '--skip-bad', '2', '--cfg-options', 'train_cfg.max_iters=2') is None
    assert train(config, two, '--skip-bad', '2', '--resume') is None
    expected, found = weights(one / 'iter_4.pth'), weights(two / 'iter_4.pth')
    assert all(torch.equal(expected[name], found[name]) for name in expected)


ROWS = [
    (plant, split)
    for plant, _ in planted.PLANTS
    for split in ('train', 'val')
    # The validation's images are in one flat folder: a second label is no more than a wrong one there.
    if split == 'train' or plant not in (planted.imagenet_two_labels, planted.imagenet_folder_renamed)
]


@pytest.mark.slow
@pytest.mark.parametrize(('plant', 'split'), ROWS, ids=[f'{plant.__name__}-{split}' for plant, split in ROWS])
def test_bad_data_set_is_named_and_found(spoil: Callable, plant: Callable, split: str, tmp_path: Path) -> None:
    """A training and a check of each fault in each split: who ends names the file, and the checker finds it."""
    from bad_runs import train
    from mmengine.config import Config

    from mmsepvit.datasets.check import check_data

    place, config = spoil(plant, split)
    words = train(config, tmp_path / 'work')
    log = ''.join(path.read_text() for path in tmp_path.glob('work/*/*.log'))
    if words is not None:
        lines = [words, *(line for line in log.splitlines() if 'this batch ended the run' in line)]
        end = 'ends, named' if is_named(place, split, '\n'.join(lines)) else 'ends, unnamed'
    else:
        end = 'loss is NaN' if 'loss: nan' in log else 'goes on'
    found = any(report.faults for report in check_data(Config.fromfile(config), workers=0))
    print(f'bad data: {plant.__name__:36}{split:6}{end:14}{"found" if found else "MISSED":8}{words or ""}')
    assert end in ('ends, named', 'goes on')
    assert found
