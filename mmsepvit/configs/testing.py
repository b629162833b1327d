"""What ``tools/test.py`` adds to a config for each package: pictures, augmentation, dumps."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.evaluator import BaseMetric, DumpResults

from ..errors import UserError
from ..evaluation import DumpSegResults
from .preflight import check_work_dir

_HOOKS = {
    'mmseg': 'SegVisualizationHook',
    'mmdet': 'DetVisualizationHook',
    'mmpretrain': 'VisualizationHook',
}
_VISUALIZERS = {
    'mmseg': 'SegLocalVisualizer',
    'mmdet': 'DetLocalVisualizer',
    'mmpretrain': 'UniversalVisualizer',
}


def check_out(config: Config, out: str) -> None:
    """Checks the argument of ``--out`` before anything runs.

    Raises:
        UserError: It has no fitting ending, or cannot be written.
    """
    path = Path(out)
    if path.suffix not in ('.pkl', '.pickle'):
        if config.default_scope != 'mmseg' or path.suffix:
            folder = ', or a folder for PNG label maps' if config.default_scope == 'mmseg' else ''
            raise UserError(f"--out '{out}': name a .pkl file for the predictions{folder}.")
        check_work_dir(out, '--out')
        return
    if path.is_dir():
        raise UserError(f"--out '{out}' is a folder; name a .pkl file in it.")
    check_work_dir(str(path.parent), '--out')


def add_label_maps(config: Config, folder: str) -> None:
    """Has mmseg's evaluator write each predicted label map as a PNG, as ADE20K numbers classes."""
    for metric in _metrics(config):
        metric['output_dir'] = str(Path(folder).absolute())


def dump_metric(scope: str, out: str) -> BaseMetric:
    """The metric that writes the predictions of a package's models to a pickle file."""
    Path(out).absolute().parent.mkdir(parents=True, exist_ok=True)
    if scope == 'mmseg':
        return DumpSegResults(out)
    if scope == 'mmdet':
        from mmdet.evaluation import DumpDetResults

        return DumpDetResults(out)
    return DumpResults(out)


def draw_predictions(config: Config, folder: str) -> None:
    """Has every tested image drawn with its prediction into a folder."""
    scope = config.default_scope
    folder = str(Path(folder).absolute())
    hooks = config.setdefault('default_hooks', ConfigDict())
    hook = hooks.setdefault('visualization', ConfigDict(type=_HOOKS[scope]))
    visualizer = config.get('visualizer')
    if not visualizer:
        backends = [{'type': 'LocalVisBackend'}]
        config.visualizer = {'type': _VISUALIZERS[scope], 'vis_backends': backends}
    if scope == 'mmpretrain':
        hook.update(enable=True, interval=1, out_dir=folder)
    elif scope == 'mmdet':
        hook.update(draw=True, test_out_dir=folder)
    else:
        # This hook draws through the visualizer, whose backend chooses the folder.
        hook.update(draw=True, interval=1)
        for backend in config.visualizer.vis_backends:
            if backend['type'] == 'LocalVisBackend':
                backend['img_save_dir'] = folder


def augment_test(config: Config) -> list[str]:
    """Wraps model and test pipeline for test-time augmentation, by default with flips alone.

    Args:
        config: The config, changed in place.

    Returns:
        Notes for the log.
    """
    scope = config.default_scope
    notes = []
    dataset = config.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    if 'tta_model' not in config:
        config.tta_model = _default_tta_model(scope)
    if 'tta_pipeline' not in config:
        config.tta_pipeline = _flip_pipeline(deepcopy(dataset.pipeline))
        notes.append('--tta: the config has no tta_pipeline, so images are flipped and no more')
    if scope == 'mmdet' and config.tta_model.type in ('DetTTAModel', 'mmdet.DetTTAModel'):
        notes += _boxes_only(config)
    config.model = ConfigDict(**config.tta_model, module=config.model)
    dataset.pipeline = config.tta_pipeline
    return notes


def _default_tta_model(scope: str) -> ConfigDict:
    if scope == 'mmseg':
        return ConfigDict(type='SegTTAModel')
    if scope == 'mmpretrain':
        return ConfigDict(type='AverageClsScoreTTA')
    nms = {'type': 'nms', 'iou_threshold': 0.5}
    return ConfigDict(type='DetTTAModel', tta_cfg={'nms': nms, 'max_per_img': 100})


def _flip_pipeline(pipeline: list) -> list:
    """Flips before a pipeline's last step, which packs the image."""
    pack = pipeline[-1]
    if pack['type'] == 'PackDetInputs':
        # Boxes are flipped back by what these two say.
        keys = pack.get('meta_keys', ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))
        pack['meta_keys'] = (*keys, 'flip', 'flip_direction')
    flips = [{'type': 'RandomFlip', 'prob': prob} for prob in (1.0, 0.0)]
    return [*pipeline[:-1], {'type': 'TestTimeAug', 'transforms': [flips, [pack]]}]


def _boxes_only(config: Config) -> list[str]:
    """mmdet merges boxes of augmented images, but no masks: leaves masks out of model and metric."""
    roi_head = config.model.get('roi_head')
    if not roi_head or not roi_head.get('mask_head'):
        return []
    for key in ('mask_head', 'mask_roi_extractor'):
        roi_head[key] = None
    for metric in _metrics(config):
        if isinstance(metric.get('metric'), (list, tuple)):
            metric['metric'] = [name for name in metric['metric'] if name != 'segm']
    return ['--tta: mmdet merges boxes only, so masks are neither predicted nor measured']


def _metrics(config: Config) -> list[dict]:
    evaluator = config.test_evaluator
    return list(evaluator) if isinstance(evaluator, (list, tuple)) else [evaluator]
