"""Walking the configs that the packages ship: which to try, and trying each in a process of its own."""

from __future__ import annotations

import json
import multiprocessing
import re
import resource
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmsepvit.config_tree import nodes
from mmsepvit.configs.sources import load, package_configs
from mmsepvit.configs.swap import SwapRefused, swap
from mmsepvit.configs.swap.classes import type_name
from mmsepvit.errors import UserError

PACKAGES = ('mmdet', 'mmseg', 'mmpretrain', 'mmpose', 'mmrotate', 'mmdet3d')
"""Packages that may be walked, where they are installed."""
KINDS = ('works', 'refused', 'broken-upstream', 'needs-GPU-op', 'needs-weights', 'no-model', 'fails')
"""What may come of a config; see :func:`classify`."""

_BACKBONES = ('backbone', 'img_backbone', 'image_encoder')
# What an operator without a CPU kernel says.
_GPU_SIGNS = (
    'not implemented on cpu',
    'not compiled with gpu',
    'implementation for device cpu not found',
    'no cuda gpus are available',
    'torch not compiled with cuda',
    'found no nvidia driver',
    'only support gpu',
)
# What is said where a language model or other weights would be fetched.
_WEIGHT_SIGNS = (
    'huggingface',
    'is not a local folder',
    'offline mode',
    'transformers',
    'need to install',
    "couldn't connect",
    'max retries exceeded',
    'name resolution',
    'urlopen error',
    "no module named 'clip'",
    "no module named 'nltk'",
)


@dataclass
class Outcome:
    """What came of one config.

    Attributes:
        package: Package that ships it.
        folder: Its algorithm's folder.
        config: Its path below the package's configs.
        kind: One of :data:`KINDS`.
        detail: The reason, or the first line of the error.
        old: Types of model and old backbone.
        seconds: How long the trial took.
        version: The package's version.
        beside: Versions of what it stands on.
    """

    package: str
    folder: str
    config: str
    kind: str
    detail: str = ''
    old: str = ''
    seconds: float = 0.0
    version: str = ''
    beside: str = ''


def folders(package: str) -> list[str]:
    """Algorithm folders of a package's configs; mmpose's stand below those of its tasks."""
    root = package_configs(package)
    tops = [p for p in root.iterdir() if p.is_dir() and p.name != '_base_']
    if package == 'mmpose':
        tops = [p for task in tops for p in task.iterdir() if p.is_dir()]
    return sorted(str(p.relative_to(root)) for p in tops if any(p.rglob('*.py')))


def config_files(package: str, folder: str) -> list[str]:
    """Config files of a folder, relative to the package's configs, plain ones first."""
    root = package_configs(package)
    files = [str(p.relative_to(root)) for p in (root / folder).rglob('*.py')]
    return sorted((f for f in files if '/_base_/' not in f'/{f}'), key=lambda f: (f.count('/'), len(f), f))


def signature(config: Config) -> str:
    """Structure of a config's model: the types in it and where they stand; '' without a model."""
    model = config.get('model')
    if not isinstance(model, dict):
        return ''
    plain = config.to_dict()['model']

    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            inner = {
                k: walk(v)
                for k, v in node.items()
                if not k.endswith(('_cfg', 'data_preprocessor')) or k == 'backbone_cfg'
            }
            inner = {k: v for k, v in inner.items() if v}
            name = type_name(node)
            return {'': name, **inner} if name else inner
        if isinstance(node, (list, tuple)):
            parts = [walk(v) for v in node]
            return [p for i, p in enumerate(parts) if p and p not in parts[:i]]
        return None

    stages = [n.get('out_indices') for n in nodes(plain) if 'out_indices' in n]
    return json.dumps([walk(plain), stages], sort_keys=True, default=str)


def _sign_of(text: str) -> str | None:
    lowered = text.lower()
    if any(sign in lowered for sign in _GPU_SIGNS):
        return 'needs-GPU-op'
    return 'needs-weights' if any(sign in lowered for sign in _WEIGHT_SIGNS) else None


def _first_line(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None and cause.__cause__ is not None:
        cause = cause.__cause__
    lines = [line.strip() for line in str(cause or error).split('\n') if line.strip()]
    return _without_paths(f'{type(cause or error).__name__}: {lines[0][:240] if lines else ""}')


def _without_paths(text: str) -> str:
    """A message without the folders of this machine: of a file's path the part below its package."""
    return re.sub(r'(?:/[\w.+-]+)+/(?:site-packages|configs)/', '', text)


def classify(package: str, folder: str, file: str, arch: str) -> Outcome:
    """Swaps and tries one config in this process, and where that fails, the original too.

    Args:
        package: Package that ships it.
        folder: Its algorithm's folder.
        file: Its path below the package's configs.
        arch: SepViT's architecture.

    Returns:
        The outcome: 'works'; 'refused' with the reason; 'broken-upstream' where the file cannot be read or the original
        fails in the same way; 'needs-GPU-op' and 'needs-weights' where an operator without a CPU kernel or weights are
        wanted; 'no-model' where it is a part of other configs; 'fails' with the first line of the error.
    """
    from .trial import run

    outcome = Outcome(package, folder, file, 'fails')
    try:
        config = load(f'{package}::{file}')
    except UserError as error:
        outcome.kind, outcome.detail = 'broken-upstream', _without_paths(str(error))
        return outcome
    if not isinstance(config.get('model'), dict) or type_name(config.model) == '':
        outcome.kind, outcome.detail = 'no-model', 'a part that other configs build on'
        return outcome
    backbone: Any = next((n[k] for n in nodes(config.model) for k in _BACKBONES if k in n), {})
    backbone = backbone[0] if isinstance(backbone, (list, tuple)) else backbone
    outcome.old = f'{type_name(config.model)} / {type_name(backbone)}'
    try:
        run(swap(config, arch).config)
    except SwapRefused as error:
        outcome.kind, outcome.detail = 'refused', str(error)
        return outcome
    except Exception as error:  # a trial exists to meet whatever a model raises
        outcome.detail = _first_line(error)
        kind = _sign_of(outcome.detail) or _sign_of(str(error))
        if kind:
            outcome.kind = kind
            return outcome
    else:
        outcome.kind = 'works'
        return outcome
    try:
        run(config, swapped=False)
    except Exception as error:
        original = _first_line(error)
        # Shapes and counts differ with the backbone, and a part that no package has is missing with any backbone.
        same = re.sub(r'\d+', '#', original)[:160] == re.sub(r'\d+', '#', outcome.detail)[:160]
        if 'is not in the' in original:
            same, outcome.detail = True, original
        if same and 'allocate' not in original:
            outcome.kind = 'broken-upstream'
        else:  # two different errors: the swap's own may hide behind the other
            outcome.detail += f' (the original fails otherwise: {original})'
    return outcome


def _child(sender: Any, arguments: tuple, seconds: float, memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (max(int(seconds), 1), int(seconds) + 5))
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    sender.send(classify(*arguments))


def try_one(package: str, folder: str, file: str, arch: str, seconds: float, memory: int) -> Outcome:
    """Tries one config in a child process.

    Args:
        package: Package that ships it.
        folder: Its algorithm's folder.
        file: Its path below the package's configs.
        arch: SepViT's architecture.
        seconds: Processor time that it may take; ten times that by the clock, on a busy machine.
        memory: How many bytes it may use.
    """
    context = multiprocessing.get_context('fork')  # the packages are imported once, in the parent
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(sender, (package, folder, file, arch), seconds, memory))
    start = time.monotonic()
    child.start()
    sender.close()
    outcome = Outcome(package, folder, file, 'fails', f'took longer than {10 * seconds:.0f} s')
    try:
        if receiver.poll(10 * seconds):
            outcome = receiver.recv()
    except EOFError:
        child.join(5)
        over = child.exitcode == -signal.SIGXCPU
        outcome.detail = f'took more than {seconds:.0f} s' if over else f'the process died (exit code {child.exitcode})'
    if child.is_alive():
        child.join(2)
    if child.is_alive():
        child.kill()
    child.join()
    outcome.seconds = round(time.monotonic() - start, 1)
    return outcome


def plan(
    packages: tuple[str, ...],
    only: tuple[str, ...],
    per_folder: int,
    is_broken: Callable[[str, str], bool] = lambda package, file: False,
) -> Iterator[tuple[str, str, str]]:
    """Yields package, folder and file of what is to be tried: first one config of each folder, then the rest.

    A config counts once for each structure of its model in its folder.

    Args:
        packages: Packages to walk.
        only: Folders to keep; all where empty.
        per_folder: Most structures of a folder.
        is_broken: Whether a package's file, once tried, was found broken: another one then speaks for its structure.
            Defaults to none is.
    """
    places = [(p, f) for p in packages for f in folders(p) if not only or f in only]
    seen: dict[tuple[str, str], set[str]] = {place: set() for place in places}
    begun: set[tuple[str, str]] = set()
    remaining = {place: iter(config_files(*place)) for place in places}
    while remaining:
        for place in list(remaining):
            for file in remaining[place]:
                try:
                    form = signature(load(f'{place[0]}::{file}'))
                except UserError as error:
                    form = str(error)
                if form and form not in seen[place]:
                    begun.add(place)
                    yield (*place, file)
                    if not is_broken(place[0], file):
                        seen[place].add(form)
                    break
            else:
                if place not in begun:
                    yield (*place, config_files(*place)[0])
                del remaining[place]
                continue
            if len(seen[place]) >= per_folder:
                del remaining[place]


def read_log(log: Path) -> list[Outcome]:
    """Outcomes of a log, the last of each config of each version of its package."""
    if not log.is_file():
        return []
    last: dict[tuple[str, str, str], Outcome] = {}
    for line in log.read_text().splitlines():
        outcome = Outcome(**json.loads(line))
        last[outcome.package, outcome.version, outcome.config] = outcome
    return list(last.values())


def append(log: Path, outcome: Outcome) -> None:
    """Adds an outcome to a log."""
    with log.open('a') as file:
        file.write(json.dumps(asdict(outcome)) + '\n')
