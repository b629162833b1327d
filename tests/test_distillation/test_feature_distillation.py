"""FeatureDistillation: what it computes, and that the teacher is no part of it; without any package's models."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from mmengine.model import BaseModule, ExponentialMovingAverage
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmsepvit import FeatureDistillation, SepViT

SMALL = {
    'channels': (8, 16),
    'depths': (1, 1),
    'num_heads': (1, 2),
    'window_sizes': ((7,), (7,)),
}
STUDENT = {'type': 'SepViT', 'arch': SMALL, 'out_indices': (0, 1)}
PAIRS = [{'student': 0, 'teacher': 0, 'channels': 6}, {'student': 1, 'teacher': 1, 'channels': 5}]


class Maps(BaseModule):
    """A teacher with a map of strides 4 and 16, and dropout and a norm that training would change."""

    def __init__(self, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.first = nn.Sequential(nn.Conv2d(3, 6, 4, stride=4), nn.BatchNorm2d(6), nn.Dropout(0.5))
        self.second = nn.Conv2d(6, 5, 4, stride=4)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        first = self.first(images)
        return first, self.second(first)


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = Maps()
        self.head = Scores()


class Scores(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(5, 4)

    def forward(self, maps: tuple[Tensor, ...]) -> Tensor:
        return self.fc(maps[-1].mean(dim=(2, 3)))


class Embedding(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(2, 3))  # (B, 3)


for teacher in (Maps, Classifier, Embedding):
    MODELS.register_module(name=f'Teacher{teacher.__name__}', module=teacher, force=True)


def build(**changes: object) -> FeatureDistillation:
    torch.manual_seed(0)
    settings = {'backbone': STUDENT, 'teachers': {'type': 'TeacherMaps'}, 'pairs': PAIRS, **changes}
    return FeatureDistillation(**settings)


def images(size: int = 32) -> Tensor:
    return torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(1))


def standardized(target: Tensor, dims: tuple[int, ...]) -> Tensor:
    mean = target.mean(dims, keepdim=True)
    return (target - mean) / (target.var(dims, unbiased=False, keepdim=True) + 1e-5).sqrt()


@pytest.mark.parametrize(('standardize', 'dims'), [('layer', (1,)), ('channel', (0, 2, 3))])
def test_smooth_l1(standardize: str, dims: tuple[int, ...]) -> None:
    model = build(standardize=standardize)
    losses = model(images(), mode='loss')
    maps, targets = model.backbone(images()), model.target_generator[0](images())
    # stride 4 to stride 4, and stride 8 to stride 16: the mean of each four
    outputs = [model.neck[0](maps[0]), model.neck[1](F.avg_pool2d(maps[1], 2))]
    for name, output, target in zip(('loss_0_0', 'loss_1_1'), outputs, targets):
        error = (output - standardized(target, dims)).abs()
        expected = torch.where(error < 2, error**2 / 4, error - 1).mean()
        torch.testing.assert_close(losses[name], expected)
    assert set(losses) == {'loss_0_0', 'loss_1_1'}


def test_cosine_is_zero_for_the_target_and_two_for_its_opposite() -> None:
    model = build(loss='cosine', pairs=[{'student': 1, 'teacher': 1, 'channels': 5}])
    targets = model.extract_targets(images())
    target = standardized(targets.maps[0], (1,))
    model.neck[0] = nn.Identity()
    for sign, expected in ((1, 0.0), (-1, 2.0)):
        (loss,) = model.distill([None, sign * target], targets).values()
        assert loss.item() == pytest.approx(expected, abs=1e-5)


def test_map_is_enlarged_to_the_teachers() -> None:
    model = build(pairs=[{'student': 1, 'teacher': 0, 'channels': 6}])
    (loss,) = model(images(), mode='loss').values()
    output = model.neck[0](F.interpolate(model.backbone(images())[1], scale_factor=2, mode='bilinear'))
    target = standardized(model.target_generator[0](images())[0], (1,))
    torch.testing.assert_close(loss, F.smooth_l1_loss(output, target, beta=2.0))


def test_several_teachers_of_which_one_gives_a_vector() -> None:
    model = build(
        teachers=[{'type': 'TeacherMaps'}, {'type': 'TeacherEmbedding'}],
        pairs=[*PAIRS, {'student': 1, 'teacher': 2, 'channels': 3, 'weight': 0.5}],
    )
    losses = model(images(), mode='loss')
    output = model.neck[2](model.backbone(images())[1].mean(dim=(2, 3), keepdim=True)).flatten(1)
    target = standardized(images().mean(dim=(2, 3)), (1,))
    torch.testing.assert_close(losses['loss_1_2'], 0.5 * F.smooth_l1_loss(output, target, beta=2.0))


def test_kl() -> None:
    model = build(teachers={'type': 'TeacherClassifier'}, kl={'num_classes': 4, 'weight': 3.0, 'temperature': 2.0})
    loss = model(images(), mode='loss')['loss_kl']
    (teacher,) = model.target_generator
    wanted = (teacher.head(teacher.backbone(images())) / 2).softmax(1)
    given = (model.head(model.backbone(images())[-1].mean(dim=(2, 3))) / 2).softmax(1)
    expected = 3 * 4 * (wanted * (wanted / given).log()).sum(1).mean()
    torch.testing.assert_close(loss, expected)
    assert {'head.fc.weight', 'head.fc.bias'} <= model.state_dict().keys()


def test_teacher_is_no_part_of_the_model() -> None:
    model = build()
    (teacher,) = model.target_generator
    before = copy.deepcopy(teacher.state_dict())
    model.init_weights()
    before.update({name: value.clone() for name, value in teacher.state_dict().items()})
    optimizer = build_optim_wrapper(model, {'type': 'OptimWrapper', 'optimizer': {'type': 'AdamW', 'lr': 0.1}})
    model.train()
    for _ in range(2):
        optimizer.update_params(sum(model(images(), mode='loss').values()))

    assert not any(module.training for module in teacher.modules())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    for name, value in teacher.state_dict().items():
        assert torch.equal(value, before[name]), name  # running means of its norm too
    assert {name.split('.')[0] for name in model.state_dict()} == {'backbone', 'neck'}
    own = {id(parameter) for parameter in teacher.parameters()}
    assert not own & {id(p) for p in model.parameters()}
    assert not own & {id(p) for group in optimizer.param_groups for p in group['params']}


def test_every_parameter_learns() -> None:
    """As DDP asks for; of the teacher there is nothing to wait for."""
    model = build(teachers={'type': 'TeacherClassifier'}, kl={'num_classes': 4}).train()
    sum(model(images(), mode='loss').values()).backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_moving_average_shares_the_teacher() -> None:
    model = build()
    average = ExponentialMovingAverage(model)
    assert average.module.target_generator[0] is model.target_generator[0]
    assert average.module.backbone is not model.backbone


def test_teacher_goes_where_the_model_goes() -> None:
    model = build().double()
    losses = model(images().double(), mode='loss')
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_bf16_autocast() -> None:
    model = build().train()
    with torch.autocast('cpu', torch.bfloat16):
        losses = model(images(), mode='loss')
    assert {loss.dtype for loss in losses.values()} == {torch.float32}
    exact = model(images(), mode='loss')
    for name, loss in losses.items():
        torch.testing.assert_close(loss, exact[name], rtol=0.02, atol=0.0)


def test_student_is_a_dense_backbones_start(tmp_path: object) -> None:
    model = build()
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    torch.save({'state_dict': model.state_dict()}, f'{tmp_path}/last.pth')
    start = {'type': 'Pretrained', 'checkpoint': f'{tmp_path}/last.pth', 'prefix': 'backbone.'}
    backbone = SepViT(SMALL, out_indices=(0, 1), init_cfg=start)
    backbone.init_weights()
    own = backbone.state_dict()
    assert own.keys() == model.backbone.state_dict().keys()
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(own[name], value), name


def test_teacher_reads_its_weights(tmp_path: object) -> None:
    torch.manual_seed(5)
    trained = Maps()
    torch.save(trained.state_dict(), f'{tmp_path}/teacher.pth')
    start = {'type': 'Pretrained', 'checkpoint': f'{tmp_path}/teacher.pth'}
    model = build(teachers={'type': 'TeacherMaps', 'init_cfg': start})
    assert not torch.equal(model.target_generator[0].second.weight, trained.second.weight)
    model.init_weights()
    assert torch.equal(model.target_generator[0].second.weight, trained.second.weight)


def test_learns() -> None:
    model = build(standardize='channel').train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    history = []
    for _ in range(40):
        loss = sum(model(images(), mode='loss').values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert history[-1] < 0.6 * history[0]


def test_other_modes() -> None:
    model = build().eval()
    maps, own = model(images()), model.backbone(images())
    assert all(torch.equal(a, b) for a, b in zip(maps, own))
    with pytest.raises(NotImplementedError, match='predicts nothing'):
        model(images(), mode='predict')


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'loss': 'l3'}, "loss='l3'"),
        ({'standardize': 'no'}, "standardize='no'"),
        ({'pairs': [{'student': 2, 'teacher': 0, 'channels': 6}]}, 'student=2, but the student gives 2'),
        ({'pairs': [{'student': 0, 'teacher': 0, 'channels': 6}]}, "student's last stage would learn nothing"),
        ({'pairs': [{'student': 1, 'teacher': 1, 'chanels': 5}]}, 'must have the keys'),
    ],
)
def test_mistakes_in_the_config(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**changes)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'pairs': [{'student': 1, 'teacher': 2, 'channels': 5}]}, 'teacher=2, but the teachers give 2 outputs'),
        ({'pairs': [{'student': 1, 'teacher': 1, 'channels': 6}]}, 'teacher=1 has 5 channels, not channels=6'),
        ({'kl': {'num_classes': 4}}, 'no teacher is a classifier'),
    ],
)
def test_mistakes_that_images_show(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**changes)(images(), mode='loss')
