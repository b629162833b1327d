"""``--mini`` tries a config out, also before the weights that it starts from, or learns from, are there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..config_tree import as_list, named_nodes


def leave_out_missing_weights(config: Config) -> list[str]:
    """Takes the names of weight files that do not exist out of a config: what would have them starts at random.

    Args:
        config: The config, changed in place.

    Returns:
        Notes for the log.
    """
    missing = []
    for _, node in list(named_nodes(config.model, 'model')):
        steps = as_list(node.get('init_cfg'))
        absent = [step for step in steps if _is_missing(step.get('checkpoint'))]
        if absent:
            missing += [step['checkpoint'] for step in absent]
            node['init_cfg'] = [step for step in steps if step not in absent] or None
    if _is_missing(config.get('load_from')):
        missing.append(config.load_from)
        config.load_from = None
    return [f'--mini: {file} is not there, so random weights take its place' for file in missing]


def _is_missing(file: Any) -> bool:
    return isinstance(file, str) and '://' not in file and not Path(file).is_file()
