"""Classification weights in a dense backbone: which names may differ, that no others do, and that numbers arrive."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from kinds import build_backbone, published
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor

from mmsepvit import SepViT, convert_official_state_dict
from mmsepvit.models.attention import resize_window_token
from mmsepvit.models.pretrained import Mismatch, check_transfer, checked_loading, describe, expected_mismatch

# Blocks (stage, block) with a single window on 224 pixels: those of 14 pixels in stage 3, and stage 4.
SINGLE_WINDOW = {
    'tiny': [(2, 1), (2, 3), (2, 5), (3, 0), (3, 1)],
    'small': [(2, 1), (2, 3), (2, 5), (2, 7), (2, 9), (2, 11), (2, 13), (3, 0), (3, 1)],
}
WITH_TOKEN = {
    'tiny': [(0, 0), (1, 0), (1, 1), (2, 0), (2, 2), (2, 4)],
    'small': [(0, 0), (1, 0), (1, 1), (2, 0), (2, 2), (2, 4), (2, 6), (2, 8), (2, 10), (2, 12)],
}
SINGLE_WINDOW |= {'lite': SINGLE_WINDOW['tiny'], 'base': SINGLE_WINDOW['small']}
WITH_TOKEN |= {'lite': WITH_TOKEN['tiny'], 'base': WITH_TOKEN['small']}
ARCHS = ['lite', 'tiny', 'small', 'base']


def psa_names(stage: int, block: int) -> list[str]:
    prefix = f'stages.{stage}.blocks.{block}.attn.'
    return [f'{prefix}{layer}.{kind}' for layer in ('psa_norm', 'psa_qk') for kind in ('weight', 'bias')]


def transferred(arch: str) -> Mismatch:
    """The difference by design, written out."""
    missing = [f'norm{i}.{kind}' for i in range(3) for kind in ('weight', 'bias')]
    missing += [name for block in SINGLE_WINDOW[arch] for name in psa_names(*block)]
    unexpected = [f'stages.{stage}.blocks.{block}.attn.window_token' for stage, block in WITH_TOKEN[arch]]
    return Mismatch(tuple(sorted(missing)), tuple(sorted(unexpected)))


def weights(kind: str, arch: str, **options: object) -> dict[str, Tensor]:
    return dict(build_backbone(kind, arch, **options).state_dict())


@pytest.mark.parametrize('arch', ARCHS)
def test_exact_names(arch: str) -> None:
    dense, given = build_backbone('dense', arch), weights('classification', arch)
    own = dense.state_dict()
    difference = Mismatch(tuple(sorted(own.keys() - given.keys())), tuple(sorted(given.keys() - own.keys())))
    assert difference == transferred(arch)
    assert expected_mismatch(own, given) == transferred(arch)
    assert check_transfer(dense, given) == transferred(arch)


@pytest.mark.parametrize(('arch', 'missing', 'unexpected'), [('tiny', 28, 6), ('small', 44, 10), ('base', 44, 10)])
def test_counts_of_the_published_names(arch: str, missing: int, unexpected: int) -> None:
    """Ours are two fewer: the classifier's last norm is called `norm` there and `norm3`, the last output's, here."""
    dense, given = published('dense', arch, 'meta'), published('classification', arch, 'meta')
    assert (len(dense.keys() - given.keys()), len(given.keys() - dense.keys())) == (missing, unexpected)
    assert tuple(map(len, transferred(arch))) == (missing - 2, unexpected)


@pytest.mark.parametrize('kind', ['classification', 'dense'])
@pytest.mark.parametrize('arch', ARCHS)
def test_same_kind_differs_in_nothing(kind: str, arch: str) -> None:
    assert check_transfer(build_backbone(kind, arch), weights(kind, arch)) == ((), ())


@pytest.mark.parametrize(
    'options',
    [
        {'window_token': 'learnable'},
        {'window_token': 'shared'},
        {'out_indices': (1, 2, 3)},
        {'out_indices': (0, 1, 2)},
        {'window_token': 'learnable', 'input_size': (512, 2048)},
    ],
    ids=str,
)
@pytest.mark.parametrize('kind', ['classification', 'dense'])
def test_other_kinds_of_dense_backbone(kind: str, options: dict) -> None:
    """Whatever is missing is a norm, PSA or a token, and has its initial value; nothing of a block is left out."""
    mismatch = check_transfer(build_backbone('dense', 'lite', **options), weights(kind, 'lite'))
    assert all(name.startswith('norm') or '.psa_' in name or name.endswith('.window_token') for name in mismatch[0])
    last_stage = max(options.get('out_indices', (3,)))
    for name in mismatch.unexpected:
        assert name.startswith((f'stages.{last_stage + 1}.', 'norm')) or name.endswith('.window_token')


@pytest.mark.parametrize(
    ('own', 'given', 'message'),
    [
        ('tiny', 'base', 'differ in shape.*stages.0.patch_embed.proj.weight'),
        ('tiny', 'small', 'have no place.*stages.2.blocks.10'),
        ('small', 'tiny', 'are missing.*stages.2.blocks.10'),
    ],
)
@pytest.mark.parametrize('kind', ['classification', 'dense'])
def test_other_arch(kind: str, own: str, given: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_transfer(build_backbone('dense', own), weights(kind, given))


@pytest.mark.parametrize(
    'name',
    [
        'stages.0.blocks.0.attn.dsa_qkv.weight',
        'stages.0.blocks.0.attn.psa_qk.weight',  # has a token, so it had PSA
        'stages.3.cpe.proj.bias',
        'norm3.bias',
    ],
)
def test_incomplete_weights(name: str) -> None:
    given = weights('classification', 'lite')
    del given[name]
    if name == 'norm3.bias':
        own = build_backbone('classification', 'lite')
        del given['norm3.weight']
    else:
        own = build_backbone('dense', 'lite')
    with pytest.raises(ValueError, match='are missing'):
        check_transfer(own, given)


def test_dense_weights_in_a_classifier() -> None:
    """Its blocks with a single window have no PSA, so the weights were trained as another function."""
    with pytest.raises(ValueError, match=r'PSA differ.*stages\.2\.blocks\.1\.attn\.psa.*single_window_psa'):
        check_transfer(build_backbone('classification', 'lite'), weights('dense', 'lite'))


def test_description() -> None:
    text = describe(transferred('small'))
    assert '42 parameters keep their initial values (6 of output norms, 36 of PSA)' in text
    assert '10 of the weights are left out (10 of window tokens)' in text


# With files, through mmengine's initialisation.


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files: the published one, its conversion, and one with bare names."""
    folder = tmp_path_factory.mktemp('checkpoints')
    source = published('classification', 'lite')
    converted = convert_official_state_dict(source)
    torch.save({'model': source}, folder / 'published.pth')
    torch.save(source, folder / 'published_bare.pth')
    torch.save({'state_dict': converted, 'meta': {}}, folder / 'converted.pth')
    return folder


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)
    logger.setLevel(level)


def strip(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name[len('backbone.') :]: weight for name, weight in weights.items() if name.startswith('backbone.')}


def initialised(kind: str, arch: str, **init_cfg: object) -> tuple[SepViT, dict[str, Tensor]]:
    """A backbone after `init_weights`, and its weights before."""
    backbone = build_backbone(kind, arch, 'cpu', init_cfg={'type': 'Pretrained', **init_cfg})
    before = {name: weight.clone() for name, weight in backbone.state_dict().items()}
    backbone.init_weights()
    return backbone, before


def test_numbers_arrive(folder: Path, log: pytest.LogCaptureFixture) -> None:
    backbone, before = initialised('dense', 'lite', checkpoint=str(folder / 'converted.pth'), prefix='backbone.')
    given = convert_official_state_dict(published('classification', 'lite'))
    missing, _ = transferred('lite')
    for name, weight in backbone.state_dict().items():
        assert torch.equal(weight, before[name] if name in missing else given[f'backbone.{name}']), name
    told = [record for record in log.records if 'docs/checkpoints.md' in record.message]
    assert [record.levelname for record in told] == ['INFO']
    assert '26 parameters keep their initial values' in told[0].message
    assert not [record for record in log.records if record.levelno > logging.INFO]


def test_numbers_arrive_in_a_classifier(folder: Path, log: pytest.LogCaptureFixture) -> None:
    checkpoint = str(folder / 'converted.pth')
    backbone, _ = initialised('classification', 'lite', checkpoint=checkpoint, prefix='backbone.')
    given = convert_official_state_dict(published('classification', 'lite'))
    assert all(torch.equal(weight, given[f'backbone.{name}']) for name, weight in backbone.state_dict().items())
    assert not [record for record in log.records if 'docs/checkpoints.md' in record.message]


def test_tokens_arrive_at_another_input_size(folder: Path) -> None:
    pretrained = {'type': 'Pretrained', 'checkpoint': str(folder / 'converted.pth'), 'prefix': 'backbone.'}
    backbone = build_backbone('classification', 'lite', 'cpu', input_size=(256, 224), init_cfg=pretrained)
    backbone.init_weights()
    given = convert_official_state_dict(published('classification', 'lite'))
    got, token = (weights['stages.0.blocks.0.attn.window_token'] for weights in (backbone.state_dict(), strip(given)))
    assert got.shape == (10, 8, 32)
    torch.testing.assert_close(got, resize_window_token(token, (10, 8)))
    assert torch.equal(backbone.norm3.weight, given['backbone.norm3.weight'])


def test_numbers_arrive_in_a_segmentor(folder: Path, repo_root: Path) -> None:
    """As mmengine's Runner does it: `init_weights` of the whole model."""
    pytest.importorskip('mmseg.models')
    config = Config.fromfile(repo_root / 'configs' / 'fpn_sepvit_t_ade20k.py')
    config.model.backbone.update(
        arch='lite',
        init_cfg={'type': 'Pretrained', 'checkpoint': str(folder / 'converted.pth'), 'prefix': 'backbone.'},
    )
    config.model.neck.in_channels = [32, 64, 128, 256]
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(config.model)
        model.init_weights()
    given = strip(convert_official_state_dict(published('classification', 'lite')))
    got = model.backbone.state_dict()
    assert {name for name in got if name in given and torch.equal(got[name], given[name])} == got.keys() - set(
        transferred('lite').missing
    )


@pytest.mark.parametrize(
    ('file', 'prefix', 'error', 'message'),
    [
        ('converted.pth', None, ValueError, "set prefix='backbone.'"),
        ('published.pth', None, ValueError, 'tools/convert_checkpoint.py'),
        ('published_bare.pth', None, ValueError, 'tools/convert_checkpoint.py'),
        ('published.pth', 'backbone.', AssertionError, 'backbone. is not in the pretrained model'),
        ('converted.pth', 'head.', ValueError, 'none of the weights'),
    ],
)
def test_nothing_is_loaded_in_silence(
    folder: Path, file: str, prefix: str | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        initialised('dense', 'lite', checkpoint=str(folder / file), prefix=prefix)


def test_other_arch_is_refused_before_anything_is_changed(folder: Path) -> None:
    checkpoint = {'type': 'Pretrained', 'checkpoint': str(folder / 'converted.pth'), 'prefix': 'backbone.'}
    backbone = build_backbone('dense', 'tiny', 'cpu', init_cfg=checkpoint)
    before = {name: weight.clone() for name, weight in backbone.state_dict().items()}
    with pytest.raises(ValueError, match='Nothing was loaded; load_from'):
        backbone.init_weights()
    assert all(torch.equal(weight, before[name]) for name, weight in backbone.state_dict().items())


def test_loading_outside_initialisation_stays_strict() -> None:
    backbone = build_backbone('dense', 'lite', 'cpu')
    with checked_loading(backbone):
        pass
    with pytest.raises(RuntimeError, match=r'Missing key.*psa_norm'):
        backbone.load_state_dict(build_backbone('classification', 'lite', 'cpu').state_dict())
