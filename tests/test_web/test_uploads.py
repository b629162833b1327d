"""Files that are dropped on the page: what is taken, and in which words the rest is answered."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmsepvit.errors import UserError
from mmsepvit.web.uploads import check_upload


def written(file: Path, content: bytes | Image.Image) -> str:
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        content.save(file)
    return str(file)


@pytest.mark.parametrize('mode', ['RGB', 'RGBA', 'L', '1', 'I;16', 'P'])
@pytest.mark.parametrize('size', [(1, 1), (16, 1), (100, 80)])
def test_images_within_the_bounds_are_taken(mode: str, size: tuple[int, int], tmp_path: Path) -> None:
    check_upload(written(tmp_path / 'image.png', Image.new(mode, size)), megabytes=1, megapixels=0.008)


def test_a_file_that_is_too_large_is_told_from_an_image_that_is(tmp_path: Path) -> None:
    file = written(tmp_path / 'image.png', Image.new('RGB', (100, 81)))
    with pytest.raises(UserError, match=r'100 x 81 pixels, 0\.0 million; the page takes up to 0\.008'):
        check_upload(file, 1, 0.008)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (100, 100, 3), np.uint8))
    with pytest.raises(UserError, match=r'0\.0 MB; the page takes up to 0\.02'):
        check_upload(written(tmp_path / 'noise.png', noise), 0.02, 1)


def test_an_image_of_far_too_many_pixels_is_not_decoded(tmp_path: Path) -> None:
    file = tmp_path / 'bomb.png'
    Image.new('1', (1, 1)).save(file)
    content = file.read_bytes()
    header = b'IHDR' + struct.pack('>II', 30000, 30000) + content[24:29]  # as it is, but for the two sides
    file.write_bytes(content[:12] + header + struct.pack('>I', zlib.crc32(header)) + content[33:])
    with pytest.raises(UserError, match='far more than the 25 million pixels'):
        check_upload(str(file), 10, 25)


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (b'', 'not an image'),
        (b'hello', 'not an image'),
        (b'%PDF-1.4 and so on', 'not an image'),
        (b'\x89PNG\r\n\x1a\n\0\0\0\rIHDR', 'not an image|cannot be read as an image'),
    ],
)
def test_what_is_no_image_is_said_to_be_none(content: bytes, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words):
        check_upload(written(tmp_path / 'image.png', content), 10, 25)


def test_a_strip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='17 x 1 pixels, too narrow'):
        check_upload(written(tmp_path / 'image.png', Image.new('L', (17, 1))), 10, 25)
