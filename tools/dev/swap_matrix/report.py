"""The coverage page."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from .matrix import KINDS, Outcome

_MEANING = {
    'works': 'swapped, built, losses and gradients of every SepViT parameter finite, in its optimizer, predicts',
    'refused': 'the algorithm has no place for another backbone; the reason is what `swap_backbone` says',
    'broken-upstream': 'the original config fails in the same trial, or its file cannot be read',
    'needs-GPU-op': 'an operator of the algorithm has no CPU kernel',
    'needs-weights': "a language model's or other weights are wanted that are no part of the package",
    'no-model': 'a folder of parts that other configs build on',
    'fails': 'not understood yet',
}
# What a folder is called by: the first of these that any of its configs has.
_RANK = ('fails', 'works', 'needs-GPU-op', 'needs-weights', 'refused', 'broken-upstream', 'no-model')


def folder_kind(outcomes: Iterable[Outcome]) -> str:
    """What a folder counts as: a failure counts before a success, a success before a refusal."""
    kinds = {outcome.kind for outcome in outcomes}
    return next(kind for kind in _RANK if kind in kinds)


def group(outcomes: Sequence[Outcome]) -> dict[str, dict[str, list[Outcome]]]:
    """Outcomes by package and folder."""
    groups: dict[str, dict[str, list[Outcome]]] = defaultdict(lambda: defaultdict(list))
    for outcome in sorted(outcomes, key=lambda o: (o.package, o.folder, o.config)):
        groups[outcome.package][outcome.folder].append(outcome)
    return groups


def summary(outcomes: Sequence[Outcome]) -> dict[str, dict[str, int]]:
    """Number of folders of each kind, by package."""
    return {
        package: {kind: count for kind in KINDS if (count := Counter(map(folder_kind, by.values()))[kind])}
        for package, by in group(outcomes).items()
    }


def markdown(outcomes: Sequence[Outcome], versions: dict[str, str], arch: str) -> str:
    """The coverage page."""
    lines = [
        '# Which algorithms SepViT is proven in',
        '',
        "Written by `tools/swap_matrix.py`. Every algorithm folder of the packages' shipped configs is walked, and in",
        f'each the configs whose models differ in structure: SepViT-{arch} is swapped in, the model built, losses',
        'computed and propagated back on small made inputs of the right kind, the gradient of every parameter of the',
        "backbone checked, one step made with the swapped config's optimizer, and a prediction.",
        '',
        'Versions: ' + ', '.join(f'{name} {version}' for name, version in versions.items()) + '.',
        '',
        '| kind | means |',
        '|---|---|',
        *(f'| {kind} | {meaning} |' for kind, meaning in _MEANING.items()),
        '',
        '| package | folders | configs tried | ' + ' | '.join(KINDS) + ' |',
        '|---|---|---|' + '---|' * len(KINDS),
    ]
    groups = group(outcomes)
    for package, by in groups.items():
        counts = Counter(folder_kind(v) for v in by.values())
        tried = sum(len(v) for v in by.values())
        lines.append(f'| {package} | {len(by)} | {tried} | ' + ' | '.join(str(counts[k]) for k in KINDS) + ' |')
    for package, by in groups.items():
        lines += [
            '',
            f'## {package}',
            '',
            '| folder | kind | configs that work | model / old backbone | remark |',
            '|---|---|---|---|---|',
        ]
        for folder, found in by.items():
            works = [o for o in found if o.kind == 'works']
            models = ', '.join(dict.fromkeys(o.old for o in (works or found) if o.old))
            remarks = dict.fromkeys(f'{o.kind}: {o.detail}' for o in found if o.kind not in ('works', 'no-model'))
            remark = '<br>'.join(r.replace('|', '\\|').replace('\n', ' ') for r in remarks)
            lines.append(f'| {folder} | {folder_kind(found)} | {len(works)} of {len(found)} | {models} | {remark} |')
    return '\n'.join(lines) + '\n'


def write(outcomes: Sequence[Outcome], file: Path, versions: dict[str, str], arch: str) -> None:
    """Writes the page."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(markdown(outcomes, versions, arch))
