"""Times of models in turn: A B C, A B C, and so on, so that what else the machine does falls on all alike."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from mmsepvit.export.agreement import cosine
from mmsepvit.export.networks import Run
from mmsepvit.export.quantize import quantize_onnx
from mmsepvit.export.runtimes import open_file
from mmsepvit.export.write import write_onnx

from .clock import Clock
from .figures import figures
from .limit import Limit, arithmetic_limit
from .models import NotHereError, build

DTYPES = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}
PRECISIONS = (*DTYPES, 'int8')
ENGINES = ('eager', 'compiled', 'onnxruntime', 'openvino')
EXPORTED = ENGINES[2:]
_TOLERANCE = {'fp32': 1e-3, 'bf16': 0.1, 'fp16': 0.02, 'int8': 0.25}


@dataclass(frozen=True)
class Setting:
    """One way to run the models.

    Attributes:
        size: Height and width of the images in pixels.
        batch: Images at a time.
        precision: 'fp32', 'bf16' or 'fp16': the type of the whole model in inference, autocast's in training; OpenVINO
            chooses itself what it computes in bf16. 'int8': products and convolutions of an exported file.
        mode: 'inference', or 'training': forward and backward pass, without an optimizer.
        engine: 'eager', 'compiled' (``torch.compile``, of all but the plain implementation), 'onnxruntime' or
            'openvino' (an exported file of this very size and batch).
    """

    size: tuple[int, int]
    batch: int
    precision: str
    mode: str
    engine: str


@dataclass
class Result:
    """What one model did in one setting; times in seconds, memory in bytes.

    Attributes:
        model: Its name.
        setting: The setting.
        times: Each round's time.
        ratios: Each round's time over the reference's of the same round: below 1 is faster than the reference.
        over_limit: Each round's time over the model's own arithmetic limit in it (of the eager run).
        limit: The limit by kind in seconds, the median of the rounds.
        over_eager: Each round's time over that of the eager run in float32 of the same round; of exported files alone.
        cosine: Smallest cosine similarity of any map with that run's, each taken as one vector.
        peak_bytes: The most memory that a run takes on top of the model.
        saved_bytes: What autograd keeps for the backward pass.
        copied_bytes: What layout operations write in inference.
        operators: Operators that run in inference.
        error: Why there is nothing of this, in a line; None where there is.
    """

    model: str
    setting: Setting
    times: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    over_limit: list[float] = field(default_factory=list)
    limit: dict[str, float] = field(default_factory=dict)
    over_eager: list[float] = field(default_factory=list)
    cosine: float | None = None
    peak_bytes: int | None = None
    saved_bytes: int | None = None
    copied_bytes: int | None = None
    operators: int | None = None
    error: str | None = None

    @property
    def images_per_second(self) -> float:
        """At the median time."""
        return self.setting.batch / statistics.median(self.times)

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain numbers."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Result:
        """The inverse of `as_dict`."""
        setting = values['setting']
        return cls(**{**values, 'setting': Setting(**{**setting, 'size': tuple(setting['size'])})})


def run_setting(
    names: Iterable[str],
    setting: Setting,
    rounds: int,
    device: str = 'cpu',
    say: Callable[[str], None] = lambda text: None,
) -> list[Result]:
    """Runs models in turn in one setting.

    Args:
        names: Models, see `BUILDERS`; the first one that runs is the reference of the ratios.
        setting: The setting.
        rounds: How many times each is timed, after a first run that is not.
        device: 'cpu' or 'cuda'. Defaults to 'cpu'.
        say: Takes a line on what is being done. Defaults to nothing.

    Returns:
        A result for each model. One that cannot run says why and stops no other.
    """
    clock = Clock(device)
    torch.manual_seed(0)
    images = torch.randn(setting.batch, 3, *setting.size, device=device)
    results, runners = [], {}
    for name in names:
        result = Result(name, setting)
        results.append(result)
        say(f'{name}: build, check, count')
        try:
            runner = _Runner(name, images, setting)
            result.cosine = runner.check()
            if not runner.exported:
                with runner.autocast():
                    counted = figures(runner.model, runner.images)
                result.saved_bytes = counted.saved_bytes
                result.copied_bytes, result.operators = counted.copied_bytes, counted.operators
            runner.run()
            result.peak_bytes = clock.peak_bytes(runner.run)
        except (NotHereError, RuntimeError, AssertionError, NotImplementedError) as error:
            result.error = f'{type(error).__name__}: {error}'.splitlines()[0]
        else:
            runners[name] = runner
    running = [result for result in results if result.error is None]
    limits: dict[str, list[Limit]] = {result.model: [] for result in running}
    for i in range(rounds):
        say(f'round {i + 1} of {rounds}')
        for result in running:
            runner = runners[result.model]
            result.times.append(clock.seconds(runner.run))
            if runner.exported:
                result.over_eager.append(result.times[-1] / clock.seconds(runner.run_eager))
            else:
                limits[result.model].append(arithmetic_limit(runner.run_eager, clock))
    for result in running:
        found = limits[result.model]
        result.ratios = [time / other for time, other in zip(result.times, running[0].times)]
        result.over_limit = [time / limit.total for time, limit in zip(result.times, found)]
        kinds = found[0].seconds if found else ()
        result.limit = {kind: statistics.median(limit.seconds[kind] for limit in found) for kind in kinds}
    return results


class _Runner:
    """A model with the images it is run on."""

    def __init__(self, name: str, images: Tensor, setting: Setting) -> None:
        self.setting = setting
        self.exact_images = images
        self.model = build(name).to(images.device)
        self.exact: list[Tensor] = self._no_grad(self.model, images)
        self.exported = setting.engine in EXPORTED
        assert self.exported or setting.precision in DTYPES, f'{setting.precision} needs an exported file'
        assert not self.exported or setting.mode == 'inference', 'an exported file does not train'
        # Beside an exported file the model stays in float32, to be compared with.
        dtype = torch.float32 if self.exported else DTYPES[setting.precision]
        self.training = setting.mode == 'training'
        self.images = images if self.training else images.to(dtype)
        self.model.train(self.training)
        if not self.training:
            self.model.to(dtype)
        # The plain implementation's loops would be written out one by one: it stays what the others are compared with.
        compiled = setting.engine == 'compiled' and not name.startswith('plain')
        self.called = torch.compile(self.model, dynamic=False) if compiled else self.model
        if self.exported:
            run = _exported(self.model, images, setting)
            self.called = lambda images: [torch.from_numpy(out) for out in run(images.numpy())]

    @staticmethod
    def _no_grad(model: Callable[[Tensor], Any], images: Tensor) -> list[Tensor]:
        with torch.no_grad():
            return [out.float() for out in model(images)]

    def check(self) -> float:
        """Least cosine similarity of maps of strides 4 to 32, finite and near those of the eager model in float32."""
        with self.autocast():
            outs = self._no_grad(self.called, self.images)
        assert len(outs) == 4, f'{len(outs)} maps instead of four'
        for out, exact in zip(outs, self.exact):
            error = (out - exact).norm() / exact.norm()
            assert error < _TOLERANCE[self.setting.precision], f'outputs are {error:.2%} off'
        exact, self.exact = self.exact, []
        return min(cosine(wanted.cpu().numpy(), out.cpu().numpy()) for wanted, out in zip(exact, outs))

    def run(self) -> None:
        """One pass as the setting has it."""
        self._run(self.called)

    def run_eager(self) -> None:
        """The same without a compiler or another runtime."""
        self._run(self.model)

    def _run(self, model: Callable[[Tensor], Any]) -> None:
        if not self.training:
            with torch.no_grad():
                model(self.images)
            return
        self.model.zero_grad(set_to_none=True)
        with self.autocast():
            outs = model(self.images)
        sum(out.float().square().mean() for out in outs).backward()

    def autocast(self) -> torch.autocast:
        """Mixed precision where the setting has it."""
        enabled = self.training and self.setting.precision != 'fp32'
        dtype = DTYPES[self.setting.precision] if enabled else torch.bfloat16  # a type that every device takes
        return torch.autocast(self.images.device.type, dtype, enabled)


def _exported(model: nn.Module, images: Tensor, setting: Setting) -> Run:
    """The model as a file of a setting's size and batch, opened."""
    assert setting.precision != 'fp16', 'fp16 is not tried: processors have bf16'
    assert setting.precision != 'bf16' or setting.engine == 'openvino', 'ONNX Runtime has no bf16 on processors'
    with TemporaryDirectory() as folder:
        file = Path(folder) / 'model.onnx'
        write_onnx(model, images, file, ['c1', 'c2', 'c3', 'c4'])
        if setting.precision == 'int8':
            quantize_onnx(file, [torch.randn_like(images).numpy() for _ in range(8)])
        return open_file(file, setting.engine, 'bf16' if setting.precision == 'bf16' else 'fp32')
