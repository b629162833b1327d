"""Rewriting the widths and strides in what reads the backbone's maps: necks and heads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .classes import is_a

Widths = Sequence[int]

# Keys that hold the width of what comes in. 'input_features' is that of mmpretrain's ClsBatchNormNeck.
_INPUT_KEYS = ('in_channels', 'input_features', 'in_channels_list')
_HEADS_OF_A_HEAD = ('head_cfg', 'pose_cfg')  # ends of keys; the second is that of mmpose's head of visibilities
_FIRST_LEVEL_KEYS = ('c1_in_channels',)  # mmseg's DeepLabV3+ head reads level 0 for it


def _levels(value: Widths, old: Widths, new: Widths) -> list[int] | None:
    """The new widths for a list of old ones, which may be all of them, a run of them, or either backwards."""
    value, old, new = list(value), list(old), list(new)
    for before, after in ((old, new), (old[::-1], new[::-1])):
        for start in range(len(before) - len(value) + 1):
            run = slice(start, start + len(value))
            if (len(value) > 1 or len(before) == 1) and before[run] == value:
                return after[run]
    return None


def _index(node: dict, count: int) -> Any:
    """The level or levels that a head reads (``in_index``), counted from 0; the last one where it does not say."""
    index = node.get('in_index', -1)
    if isinstance(index, (list, tuple)):
        return [i % count for i in index]
    return index % count if isinstance(index, int) else count - 1


def rewrite_input(node: dict, old: Widths, new: Widths, nested: bool = False) -> bool:
    """Rewrites the input widths of a neck or head, in place.

    Args:
        node: Its config.
        old: Widths of the levels that it was written for.
        new: Widths that it gets.
        nested: Whether it is a part of a head: its plain numbers then count only beside an ``in_index``.

    Returns:
        Whether something was rewritten.
    """
    done = False
    for key in _INPUT_KEYS:
        value = node.get(key)
        if isinstance(value, (list, tuple)):
            index = _index(node, len(old))
            if isinstance(index, list) and 'in_index' in node and list(value) == [old[i] for i in index]:
                node[key] = type(value)(new[i] for i in index)
                done = True
            elif all(isinstance(v, int) for v in value):
                levels = _levels(value, old, new)
                if levels is not None:
                    node[key] = type(value)(levels)
                    done = True
        elif isinstance(value, int) and not (nested and 'in_index' not in node):
            index = _index(node, len(old))
            if isinstance(index, int) and value == old[index]:
                node[key] = new[index]
                done = True
                _fit_groups(node, new[index])
                if node.get('num_convs') == 0 and node.get('channels') == value:  # it classifies its input as it is
                    node['channels'] = new[index]
    for key in _FIRST_LEVEL_KEYS:
        if node.get(key) == old[0]:
            node[key] = new[0]
            done = True
    for key, value in node.items():
        for child in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(child, dict):
                # A head of several heads hands its input on to each.
                done = rewrite_input(child, old, new, nested=nested or not key.endswith(_HEADS_OF_A_HEAD)) or done
    return done


def _fit_groups(head: dict, width: int) -> None:
    """Lets the first deconvolution of a pose head have as many groups as divide its new input too, in place."""
    groups = head.get('deconv_num_groups')
    if groups and width % groups[0]:
        head['deconv_num_groups'] = type(groups)((math.gcd(width, groups[0]), *groups[1:]))


def rewrite_neck(neck: dict, old: Widths, new: Widths) -> bool:
    """Rewrites the input widths of a neck, in place. SSD's hands its inputs on, so their widths are its outputs' too.

    Returns:
        Whether something was rewritten.
    """
    before = neck.get('in_channels')
    done = rewrite_input(neck, old, new)
    outs = neck.get('out_channels')
    if done and isinstance(before, (list, tuple)) and isinstance(outs, (list, tuple)) and is_a(neck, 'mmdet.SSDNeck'):
        neck['out_channels'] = type(outs)((*neck['in_channels'], *outs[len(before) :]))
    return done


def rewrite_roi_head(head: dict, old: int, new: int) -> None:
    """Rewrites a RoI head that reads a single map of a backbone without a neck, in place: extractors and heads."""
    for value in head.values():
        for child in value if isinstance(value, (list, tuple)) else [value]:
            if not isinstance(child, dict):
                continue
            if 'roi_layer' in child and child.get('out_channels') == old:
                child['out_channels'] = new
            elif 'type' in child and child.get('in_channels') == old:
                child['in_channels'] = new


def align_object_context(heads: Sequence[dict], widths: Widths) -> bool:
    """Lets the head before an OCR head read the OCR head's level, in place.

    The OCR head multiplies its map with that head's, pixel by pixel, so both must have one size. The last two levels
    of a dilated backbone have, those of a pyramid have not.

    Returns:
        Whether something was rewritten.
    """
    done = False
    for head, following in zip(heads, heads[1:]):
        index, wanted = head.get('in_index'), following.get('in_index')
        if is_a(following, 'mmseg.OCRHead') and wanted is not None and isinstance(index, int) and index != wanted:
            head.update(in_index=wanted, in_channels=widths[wanted])
            done = True
    return done


def rewrite_strides(node: dict, old: Sequence[int], new: Sequence[int]) -> None:
    """Rewrites lists of all the levels' strides in a head and its parts, in place."""
    if list(old) == list(new):
        return
    for key, value in node.items():
        if key in ('feature_strides', 'strides') and isinstance(value, (list, tuple)) and list(value) == list(old):
            node[key] = list(new)
        for child in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(child, dict):
                rewrite_strides(child, old, new)
