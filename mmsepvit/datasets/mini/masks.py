"""Instance masks in COCO's two notations.

Contours are traced along the edges of pixels, not through their centres as OpenCV does, so that a
polygon covers exactly the pixels of its mask.
"""

from __future__ import annotations

import numpy as np

_Point = tuple[int, int]


def mask_to_rle(mask: np.ndarray) -> dict[str, list[int]]:
    """Return a mask as COCO's uncompressed run lengths.

    Args:
        mask: bool of shape (H, W).

    Returns:
        ``counts``, the lengths of alternating runs of 0 and 1 down the columns, starting with 0;
        and ``size``, the height and width.
    """
    flat = np.concatenate([[False], mask.ravel(order='F')])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    edges = np.concatenate([[0], changes, [mask.size]])
    return {'counts': np.diff(edges).tolist(), 'size': list(mask.shape)}


def mask_to_polygons(mask: np.ndarray) -> list[list[float]]:
    """Return a mask as COCO polygons, one or more for each connected part.

    Polygons can't have holes, so a part with a hole is cut in two through it.

    Args:
        mask: bool of shape (H, W).

    Returns:
        Flat lists x0, y0, x1, y1, ... of corner coordinates in pixels.
    """
    loops = _boundary_loops(mask)
    for loop in loops:
        if _signed_area(loop) < 0:
            columns = [x for x, _ in loop]
            cut = (min(columns) + max(columns) + 1) // 2
            left, right = mask.copy(), mask.copy()
            left[:, cut:] = False
            right[:, :cut] = False
            return mask_to_polygons(left) + mask_to_polygons(right)
    return [[float(c) for point in loop for c in point] for loop in loops]


def _signed_area(loop: list[_Point]) -> int:
    """Twice the area; positive for outer loops, negative for holes."""
    ahead = loop[1:] + loop[:1]
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(loop, ahead))


def _boundary_loops(mask: np.ndarray) -> list[list[_Point]]:
    """Closed corner lists round all parts and holes, with the mask on the right hand."""
    padded = np.pad(mask, 1)
    inner = padded[1:-1, 1:-1]
    # Direction of travel -> (pixels with an edge there, offset of the edge's start).
    sides = {
        (1, 0): (inner & ~padded[:-2, 1:-1], (0, 0)),
        (0, 1): (inner & ~padded[1:-1, 2:], (1, 0)),
        (-1, 0): (inner & ~padded[2:, 1:-1], (1, 1)),
        (0, -1): (inner & ~padded[1:-1, :-2], (0, 1)),
    }
    leaving: dict[_Point, list[_Point]] = {}
    for direction, (edges, (dx, dy)) in sides.items():
        for row, column in np.argwhere(edges).tolist():
            leaving.setdefault((column + dx, row + dy), []).append(direction)

    loops = []
    while leaving:
        # The leftmost upper corner is a true corner that the loop meets only once.
        start = min(leaving)
        point, heading = start, (0, 0)
        loop: list[_Point] = []
        while not loop or point != start:
            choices = leaving[point]
            # Where two pixels touch at a corner, turning right stays at the same pixel.
            right = (-heading[1], heading[0])
            step = right if right in choices else choices[0]
            choices.remove(step)
            if not choices:
                del leaving[point]
            if step != heading:
                loop.append(point)
            heading = step
            point = (point[0] + step[0], point[1] + step[1])
        loops.append(loop)
    return loops
