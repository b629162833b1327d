"""The coverage page."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from .matrix import KINDS, PACKAGES, Outcome

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


Versions = dict[str, list[Outcome]]  # of a folder, by version of its package


def group(outcomes: Iterable[Outcome]) -> dict[str, dict[str, Versions]]:
    """Outcomes by package, folder and version of the package."""
    groups: dict[str, dict[str, Versions]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for outcome in sorted(outcomes, key=lambda o: (PACKAGES.index(o.package), o.folder, o.version, o.config)):
        groups[outcome.package][outcome.folder][outcome.version].append(outcome)
    return groups


def summary(outcomes: Sequence[Outcome]) -> dict[tuple[str, str], dict[str, int]]:
    """Number of folders of each kind, by package and its version."""
    counts: dict[tuple[str, str], Counter] = defaultdict(Counter)
    for package, folders in group(outcomes).items():
        for versions in folders.values():
            for version, found in versions.items():
                counts[package, version][folder_kind(found)] += 1
    return {key: {kind: counts[key][kind] for kind in KINDS if counts[key][kind]} for key in sorted(counts, key=_place)}


def _place(key: tuple[str, str]) -> tuple[int, str]:
    return PACKAGES.index(key[0]), key[1]


def markdown(outcomes: Sequence[Outcome], arch: str) -> str:
    """The coverage page."""
    lines = [
        '# Which algorithms SepViT is proven in',
        '',
        "Written by `tools/swap_matrix.py`. Every algorithm folder of the packages' shipped configs is walked, and in",
        f'each the configs whose models differ in structure: SepViT-{arch} is swapped in, the model built, losses',
        'computed and propagated back on small made inputs of the right kind, the gradient of every parameter of the',
        "backbone checked, one step made with the swapped config's optimizer, and a prediction.",
        '',
        '| kind | means |',
        '|---|---|',
        *(f'| {kind} | {meaning} |' for kind, meaning in _MEANING.items()),
        '',
        'Folders of each kind, and of all configs tried those that work:',
        '',
        '| package | beside | folders | ' + ' | '.join(KINDS) + ' | configs |',
        '|---|---|---|' + '---|' * (len(KINDS) + 1),
    ]
    for (package, version), counts in summary(outcomes).items():
        tried = [o for o in outcomes if (o.package, o.version) == (package, version)]
        works = sum(o.kind == 'works' for o in tried)
        numbers = ' | '.join(str(counts.get(kind, 0)) for kind in KINDS)
        lines.append(
            f'| {package} {version} | {tried[0].beside} | {sum(counts.values())} | {numbers} | '
            f'{works} of {len(tried)} |'
        )
    for package, folders in group(outcomes).items():
        lines += ['', f'## {package}', '', *_package_table(folders)]
    return '\n'.join(lines) + '\n'


def _package_table(folders: dict[str, Versions]) -> list[str]:
    """A row a folder, with a column for each version of the package."""
    known = sorted({version for versions in folders.values() for version in versions})
    lines = [
        '| folder | ' + ' | '.join(known) + ' | model / old backbone | remark |',
        '|---|' + '---|' * len(known) + '---|---|',
    ]
    for folder, versions in folders.items():
        every = [outcome for found in versions.values() for outcome in found]
        models = dict.fromkeys(o.old for o in [o for o in every if o.kind == 'works'] or every if o.old)
        cells = [_cell(versions[version]) if version in versions else '' for version in known]
        remarks = '<br>'.join(_remarks(versions))
        lines.append(f'| {folder} | {" | ".join(cells)} | {", ".join(models)} | {remarks} |')
    return lines


def _cell(found: Sequence[Outcome]) -> str:
    works = sum(outcome.kind == 'works' for outcome in found)
    return f'{folder_kind(found)}, {works} of {len(found)}'


def _reason(detail: str) -> str:
    """Why a config does not work, without the names and places of files, which configs of one folder differ by."""
    detail = re.sub(r"config '[^']*'", 'its file', detail)
    return re.split(r'\s(?:It (?:comes from|means)|You got this error|See more information) ', detail)[0]


def _remarks(versions: Versions) -> list[str]:
    """Why configs do not work, once for all versions of which it is true."""
    said: dict[str, list[str]] = {}
    for version, found in versions.items():
        for outcome in found:
            if outcome.kind not in ('works', 'no-model'):
                text = f'{outcome.kind}: {_reason(outcome.detail)}'.replace('|', '\\|').replace('\n', ' ')
                said.setdefault(text, []).append(version)
    everywhere = set(versions)
    return [
        text if set(where) == everywhere else f'{", ".join(dict.fromkeys(where))}: {text}'
        for text, where in said.items()
    ]


def write(outcomes: Sequence[Outcome], file: Path, arch: str) -> None:
    """Writes the page."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(markdown(outcomes, arch))
