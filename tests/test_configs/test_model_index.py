"""The model index against the configs, the counting tool and the table of recipes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from mmengine.config import Config
from recipe_table import ELSEWHERE, TABLE

REPO = Path(__file__).parents[2]
NAMES = [*TABLE, *sorted(ELSEWHERE)]
FILES = yaml.safe_load((REPO / 'model-index.yml').read_text())['Import']
METAFILES = {path: yaml.safe_load((REPO / path).read_text()) for path in FILES}
MODELS = {model['Name']: model for file in METAFILES.values() for model in file['Models']}
COLLECTIONS = {c['Name']: c for file in METAFILES.values() for c in file['Collections']}
# Top-1, mIoU at one scale and at several, AP of boxes and masks, as the paper's fourth version has them.
REPORTED = {
    'upernet_sepvit_t_ade20k': [47.4, 48.3],
    'upernet_sepvit_s_ade20k': [48.6, 49.9],
    'upernet_sepvit_b_ade20k': [49.6, 51.0],
    'fpn_sepvit_t_ade20k': [44.8],
    'fpn_sepvit_s_ade20k': [46.6],
    'fpn_sepvit_b_ade20k': [47.6],
    'mask_rcnn_sepvit_t_1x_coco': [45.5, 41.9],
    'mask_rcnn_sepvit_s_1x_coco': [47.2, 42.9],
    'mask_rcnn_sepvit_t_3x_coco': [48.0, 43.8],
    'mask_rcnn_sepvit_s_3x_coco': [49.4, 44.6],
    'retinanet_sepvit_t_1x_coco': [44.8],
    'retinanet_sepvit_s_1x_coco': [46.4],
    'retinanet_sepvit_t_3x_coco': [46.8],
    'retinanet_sepvit_s_3x_coco': [47.9],
    'sepvit_lite_imagenet': [72.3],
    'sepvit_t_imagenet': [82.7],
    'sepvit_s_imagenet': [83.6],
    'sepvit_b_imagenet': [84.2],
}


def test_every_config_has_one_entry_and_every_file_is_imported() -> None:
    entries = [model['Name'] for file in METAFILES.values() for model in file['Models']]
    assert sorted(entries) == sorted(NAMES)
    assert sorted(FILES) == sorted(f'configs/{p.name}' for p in (REPO / 'configs').glob('*.yml'))


@pytest.mark.parametrize('name', NAMES)
def test_entry(name: str) -> None:
    model = MODELS[name]
    assert model['Config'] == f'configs/{name}.py'
    assert (REPO / model['Config']).is_file()
    assert model['In Collection'] in COLLECTIONS
    assert 'Weights' not in model  # none were ever published
    metadata, config = model['Metadata'], Config.fromfile(REPO / model['Config'])
    arch = {'lite': 'Lite', 'tiny': 'Tiny', 'small': 'Small', 'base': 'Base'}[config.model.backbone.arch]
    assert metadata['Architecture'][0] == f'SepViT-{arch}'
    assert metadata['Batch Size'] == config.auto_scale_lr.base_batch_size
    loop = config.train_cfg
    length = (metadata.get('Epochs'), metadata.get('Iterations'))
    assert length == (loop.get('max_epochs'), loop.get('max_iters'))


@pytest.mark.parametrize('name', NAMES)
def test_results_are_the_papers_and_say_so(name: str) -> None:
    results = MODELS[name].get('Results', [])
    metrics = [item for result in results for item in result['Metrics'].items()]
    assert [value for _, value in metrics] == REPORTED.get(name, [])
    assert all(key.endswith(' (paper)') for key, _ in metrics)


def counts(config: Config, done: dict[str, tuple[int, int]]) -> tuple[int, int]:
    """Parameters and multiply-adds; configs with the same model, such as 1x and 3x, are counted once."""
    flops = pytest.importorskip('mmsepvit.evaluation.flops')
    key = str(config.model)
    if key not in done:
        count = flops.with_total(flops.count_config(config).full)['model']
        done[key] = (count.params, count.macs)
    return done[key]


@pytest.fixture(scope='module')
def counted() -> dict[str, tuple[int, int]]:
    return {}


@pytest.mark.parametrize('name', NAMES)
def test_counts_are_the_tools(name: str, counted: dict) -> None:
    config = Config.fromfile(REPO / 'configs' / f'{name}.py')
    pytest.importorskip(config.default_scope)
    metadata = MODELS[name]['Metadata']
    assert (metadata['Parameters'], metadata['FLOPs']) == counts(config, counted)


@pytest.mark.parametrize('name', COLLECTIONS)
def test_collection(name: str) -> None:
    collection = COLLECTIONS[name]
    # Readers take it from the file's folder, others from the repository's: no path is right for both.
    assert 'README' not in collection
    assert collection['Paper']['URL'] == 'https://arxiv.org/abs/2203.15380'
    assert any(model['In Collection'] == name for model in MODELS.values())


def test_openmmlabs_reader_accepts_it() -> None:
    modelindex = pytest.importorskip('modelindex.load_model_index')
    index = modelindex.load(str(REPO / 'model-index.yml'))
    index.build_models_with_collections()
    assert index.check(silent=True) in (None, [])
    assert {model.name for model in index.models} == set(NAMES)
    for model in index.models:
        assert model.metadata.data['Parameters'] > 1e6
