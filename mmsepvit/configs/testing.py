"""What ``tools/test.py`` adds to a config for each package: pictures, augmentation, dumps."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.evaluator import BaseMetric, DumpResults
from mmengine.registry import MODELS, VISBACKENDS
from mmengine.visualization import LocalVisBackend

from ..config_tree import as_list, builds, datasets_of
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


def keep_the_trained_config(config: Config) -> None:
    """Has a test write its config under a name of its own: that of the training may stand in the work directory."""
    file = Path(config.filename)
    object.__setattr__(config, '_filename', str(file.with_name(f'{file.stem}_test.py')))


def add_label_maps(config: Config, folder: str) -> None:
    """Has mmseg's evaluator write each predicted label map as a PNG, as ADE20K numbers classes."""
    for metric in as_list(config.test_evaluator):
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
    if not config.get('default_hooks'):
        config.default_hooks = ConfigDict()
    hooks = config.default_hooks
    if not hooks.get('visualization'):
        hooks.visualization = ConfigDict(type=_HOOKS[scope])
    if not config.get('visualizer'):
        config.visualizer = ConfigDict(type=_VISUALIZERS[scope])
    if scope == 'mmpretrain':
        hooks.visualization.update(enable=True, interval=1, out_dir=folder)
    elif scope == 'mmdet':
        hooks.visualization.update(draw=True, test_out_dir=folder)
    else:
        # This hook draws through the visualizer, one of whose backends has to write files: it chooses the folder.
        hooks.visualization.update(draw=True, interval=1)
        backends = as_list(config.visualizer.get('vis_backends'))
        local = [backend for backend in backends if builds(backend, LocalVisBackend, scope, VISBACKENDS)]
        if not local:
            local = [ConfigDict(type='LocalVisBackend')]
            config.visualizer.vis_backends = [*backends, *local]
        for backend in local:
            backend['img_save_dir'] = folder


def augment_test(config: Config) -> list[str]:
    """Wraps model and test pipelines for test-time augmentation, by default with flips alone.

    Args:
        config: The config, changed in place.

    Returns:
        Notes for the log.
    """
    scope = config.default_scope
    notes = []
    if config.get('tta_model') is None:
        config.tta_model = _default_tta_model(scope)
    if config.get('tta_pipeline') is None:
        notes.append('--tta: the config has no tta_pipeline, so images are flipped and no more')
    for _, dataset in datasets_of(config.test_dataloader.dataset):
        dataset.pipeline = deepcopy(config.get('tta_pipeline')) or _flip_pipeline(dataset.pipeline, scope)
    if scope == 'mmdet':
        notes += _boxes_only(config)
    if scope == 'mmpretrain':
        config.custom_hooks = [*as_list(config.get('custom_hooks')), ConfigDict(type='mmsepvit.FirstViewHook')]
    config.model = ConfigDict(**config.tta_model, module=config.model)
    return notes


def _default_tta_model(scope: str) -> ConfigDict:
    if scope == 'mmseg':
        return ConfigDict(type='SegTTAModel')
    if scope == 'mmpretrain':
        return ConfigDict(type='AverageClsScoreTTA')
    nms = {'type': 'nms', 'iou_threshold': 0.5}
    return ConfigDict(type='DetTTAModel', tta_cfg={'nms': nms, 'max_per_img': 100})


def _flip_pipeline(pipeline: list, scope: str) -> list:
    """Flips before a pipeline's last step, which packs the image."""
    *steps, pack = deepcopy(pipeline)
    if scope == 'mmdet':
        # Boxes are flipped back by what these two say.
        keys = pack.get('meta_keys', ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))
        pack['meta_keys'] = (*keys, 'flip', 'flip_direction')
    flips = [{'type': 'RandomFlip', 'prob': prob} for prob in (0.0, 1.0)]
    return [*steps, {'type': 'TestTimeAug', 'transforms': [flips, [pack]]}]


def _boxes_only(config: Config) -> list[str]:
    """mmdet merges boxes of augmented images, but no masks: leaves masks out of model and metric."""
    from mmdet.models import DetTTAModel

    roi_head = config.model.get('roi_head')
    merges_boxes = builds(config.tta_model, DetTTAModel, config.default_scope, MODELS)
    if not merges_boxes or not roi_head or not roi_head.get('mask_head'):
        return []
    for key in ('mask_head', 'mask_roi_extractor'):
        roi_head[key] = None
    for metric in as_list(config.test_evaluator):
        if isinstance(metric.get('metric'), (list, tuple)):
            metric['metric'] = [name for name in metric['metric'] if name != 'segm']
    return ['--tta: mmdet merges boxes only, so masks are neither predicted nor measured']
