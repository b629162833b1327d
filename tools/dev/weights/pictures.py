"""Collects the pictures that the published weights may learn from: those whose own licence allows it.

They are in Debian packages; nothing has to be installed:

    apt-get download gcompris-qt-data lomiri-wallpapers-16.04 lomiri-wallpapers-20.04 gnome-taquin openclipart-png
    for deb in *.deb; do dpkg-deb -x $deb packages/${deb%%_*}; done
    PYTHONPATH=.:tools python -m dev.weights.pictures packages pictures

The licence of each picture is read from its package's ``debian/copyright``, where the last paragraph that names a file
counts. Pictures under the GPL, the GFDL or a licence not listed here are left out. All of openclipart-png is in the
public domain, as its copyright file says in a form of its own; of it the folders that show things are taken.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

PACKAGES = ('gcompris-qt-data', 'lomiri-wallpapers-16.04', 'lomiri-wallpapers-20.04', 'gnome-taquin')
DRAWINGS = 'openclipart-png'
# Folders of the drawings that show no icons, signs, flags or shapes.
THINGS = (
    *('animals', 'buildings', 'education', 'electronics', 'food', 'household', 'office', 'people', 'plants', 'tools'),
    *('recreation/music', 'recreation/sports', 'recreation/toys', 'recreation/party', 'recreation/holiday'),
    *('transportation/vehicles', 'transportation/boating', 'computer/hardware'),
)
LICENCES = re.compile(r'CC0-1\.0|CC-BY(-SA)?-[1-4]\.[05]|public-domain')
SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp')
MAX_SIDE = 1280
MAX_DRAWING = 256  # side of a drawing, which is always pasted whole
_DIRECTORY, _DEFLATED, _ZSTD = 2, 1, 4  # flags of a node of a Qt resource file


class Rule(NamedTuple):
    """What a paragraph of ``debian/copyright`` says of the files that a pattern matches."""

    pattern: str
    author: str
    licence: str
    source: str


def read_copyright(path: Path) -> list[Rule]:
    rules = []
    for paragraph in re.split(r'\n\s*\n', path.read_text(encoding='utf-8')):
        fields = dict(re.findall(r'^([A-Z][\w-]+):[ \t]*((?:.*)(?:\n[ \t].*)*)', paragraph, re.MULTILINE))
        for pattern in fields.get('Files', '').split():
            author, source = (' '.join(fields.get(name, '').split()) for name in ('Copyright', 'Comment'))
            rules.append(Rule(_stem(pattern), author, fields['License'].split('\n')[0].strip(), source))
    return rules


def _stem(name: str) -> str:
    """Without the suffix: gcompris ships as WebP what its copyright file names as JPEG."""
    return re.sub(r'\.(jpe?g|png|webp)$', '', name)


def resource_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """The files (name, content) in a Qt resource file; those compressed by zstd are left out."""
    content = path.read_bytes()
    version, tree, data, names = struct.unpack('>4I', content[4:20])
    node_size = 22 if version >= 2 else 14

    def visit(index: int, folder: str) -> Iterator[tuple[str, bytes]]:
        node = tree + index * node_size
        name_offset, flags = struct.unpack('>IH', content[node : node + 6])
        name = ''
        if index:
            start = names + name_offset
            (length,) = struct.unpack('>H', content[start : start + 2])
            name = folder + content[start + 6 : start + 6 + 2 * length].decode('utf-16-be')
        if flags & _DIRECTORY:
            count, first = struct.unpack('>II', content[node + 6 : node + 14])
            for child in range(first, first + count):
                yield from visit(child, f'{name}/' if name else '')
        elif not flags & _ZSTD:
            (offset,) = struct.unpack('>I', content[node + 10 : node + 14])
            (size,) = struct.unpack('>I', content[data + offset : data + offset + 4])
            start = data + offset + 4
            file = content[start : start + size]
            yield name, zlib.decompress(file[4:]) if flags & _DEFLATED else file

    yield from visit(0, '')


def package_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob('*')):
        if path.suffix == '.rcc':
            yield from resource_files(path)
        elif path.suffix in SUFFIXES and path.is_file() and not path.is_symlink():
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def find_rule(rules: list[Rule], name: str) -> Rule | None:
    """The rule for a file.

    Packages install pictures elsewhere than their source has them: there the file's name counts. A file inside a
    resource file still has the path that it has in the source.
    """
    stem = _stem(name)
    for rule in reversed(rules):
        same_path = fnmatch.fnmatch(stem, f'*/{rule.pattern}')
        same_name = stem.rsplit('/', 1)[-1] == rule.pattern.rsplit('/', 1)[-1]
        if rule.pattern != '*' and (same_path or (same_name and name.startswith('usr/'))):
            return rule
    return None


def licensed_files(packages: Path) -> Iterator[tuple[str, str, bytes, Rule]]:
    """The pictures that may be used: package, name, content, and what its licence is."""
    for package in PACKAGES:
        folder = packages / package
        rules = read_copyright(folder / 'usr/share/doc' / package / 'copyright')
        for name, content in package_files(folder):
            rule = find_rule(rules, name) if Path(name).suffix in SUFFIXES else None
            if rule and LICENCES.fullmatch(rule.licence):
                yield package, name, content, rule
    folder = packages / DRAWINGS
    rule = Rule('*', 'contributors of the Open Clip Art Library', 'public-domain', 'openclipart.org')
    for name, content in package_files(folder):
        if name.split('/png/')[-1].startswith(tuple(f'{part}/' for part in THINGS)):
            yield DRAWINGS, name, content, rule


def collect(packages: Path, out: Path) -> list[dict]:
    """Writes the pictures as PNG, alpha kept, sides of 1280 pixels at most, and a list of them with their authors."""
    out.mkdir(parents=True, exist_ok=True)
    entries = []
    for package, name, content, rule in licensed_files(packages):
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        if picture is None or picture.ndim != 3 or picture.dtype != np.uint8 or min(picture.shape[:2]) < 64:
            continue
        scale = (MAX_DRAWING if package == DRAWINGS else MAX_SIDE) / max(picture.shape[:2])
        if scale < 1:
            picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        has_alpha = picture.shape[2] == 4 and picture[..., 3].min() == 0
        if package == DRAWINGS and not has_alpha:
            continue
        file = f'{len(entries):04d}.png'
        cv2.imwrite(str(out / file), picture if has_alpha else picture[..., :3])
        entries.append({'file': file, 'package': package, 'name': name, 'cutout': bool(has_alpha), **rule._asdict()})
        del entries[-1]['pattern']
    (out / 'pictures.json').write_text(json.dumps(entries, indent=1, ensure_ascii=False), encoding='utf-8')
    return entries


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('packages', type=Path, help='folder with an unpacked folder for each package')
    parser.add_argument('out', type=Path, help='folder to write')
    args = parser.parse_args()
    found = collect(args.packages, args.out)
    print(f'{len(found)} pictures, {sum(entry["cutout"] for entry in found)} of them cut out')
