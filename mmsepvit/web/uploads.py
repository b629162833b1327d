"""What a file may be that somebody dropped on the page."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, UnidentifiedImageError

from ..errors import UserError

_MEBI = 2**20
_MEGA = 1_000_000
_LONGEST = 16
"""How many times as long as wide an image may be: a pipeline that keeps the ratio brings longer ones to no width."""


def check_upload(path: str, megabytes: float, megapixels: float) -> None:
    """Looks at the size of a file and at its header; decodes nothing.

    Args:
        path: Path of the file.
        megabytes: What the file may have at most.
        megapixels: What the image may have at most.

    Raises:
        UserError: It is too large, or no image. The message is for the one who dropped it.
    """
    size = Path(path).stat().st_size
    if size > megabytes * _MEBI:
        raise UserError(f'This file has {size / _MEBI:.1f} MB; the page takes up to {megabytes:g}.')
    try:
        with Image.open(path) as image:
            width, height = image.size
    except UnidentifiedImageError:
        raise UserError('This file is not an image, or of a format that is not known here: try JPEG or PNG.') from None
    except Image.DecompressionBombError:
        raise UserError(
            f'This image has far more than the {megapixels:g} million pixels that the page takes.'
        ) from None
    except (OSError, ValueError, SyntaxError) as error:
        raise UserError(f'This file cannot be read as an image: {error}.') from None
    if width * height > megapixels * _MEGA:
        raise UserError(
            f'This image has {width} x {height} pixels, {width * height / _MEGA:.1f} million; '
            f'the page takes up to {megapixels:g} million.'
        )
    if max(width, height) > _LONGEST * min(width, height):
        raise UserError(f'This image has {width} x {height} pixels, too narrow a strip to look at.')
