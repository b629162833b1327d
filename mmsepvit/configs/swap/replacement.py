"""Replacing one backbone: the steps, in the order in which docs/replace_backbone.md lists the keys."""

from __future__ import annotations

import copy
from typing import Any

from .backbone import NewBackbone
from .classes import is_a, lineage, package_of, type_name
from .consumers import align_object_context, rewrite_input, rewrite_neck, rewrite_roi_head, rewrite_strides
from .errors import SwapError, SwapRefused
from .preprocessor import image_channels, training_size
from .probe import Feature, learn_outputs
from .refusals import check_site
from .sites import Site
from .stages import choose_stages, is_plain
from .wrappers import wrapper_of

# Necks that make a pyramid of a plain transformer's maps.
_PYRAMID_NECKS = ('mmseg.Feature2Pyramid', 'mmseg.MultiLevelNeck')
# A head without a layer, behind a backbone that held the classifier, and the one that has it.
_LINEAR_HEADS = {'mmpretrain.ClsHead': 'LinearClsHead', 'mmpretrain.MultiLabelClsHead': 'MultiLabelLinearClsHead'}
# What goes with an old backbone beside its weights.
_LOST = {
    'mmseg.ICNet': 'ICNet ran parts of a ResNet on three scales of the image; the new backbone reads one, and its '
    'strides 8, 16, 32 go to the neck that fused the three',
}
_PERSON_SIZE = (256, 128)  # of re-identification
_SIZE = (512, 512)


def task_of(owner: dict) -> str:
    """The task of the model that a dict builds: 'classification', 'segmentation', 'pose' or 'detection'."""
    if is_a(owner, 'mmdet.BaseReID'):
        return 'classification'
    tasks = {'mmpretrain': 'classification', 'mmseg': 'segmentation', 'mmpose': 'pose'}
    return tasks.get(package_of(owner) or '', 'detection')


class Replacement:
    """One backbone's replacement in a config.

    Args:
        config: The whole config, changed in place by :meth:`run`.
        site: The old backbone in it.
        new: What takes its place.

    Attributes:
        notes: What a reader should know.
        bands: Channels of the images.
        old, out: Outputs of the old and of the new backbone.
        backbone: Config of what stands there now.
        size: Height and width of the images that the new backbone was tried with.
    """

    def __init__(self, config: dict, site: Site, new: NewBackbone) -> None:
        self.config, self.site, self.new = config, site, new
        self.task = task_of(site.owner)
        self.necks = copy.deepcopy(site.necks)
        self.bands = image_channels(config, site.backbone)
        self.notes: list[str] = []

    @property
    def new_backbone(self) -> dict:
        """Config of the new backbone, which some old backbones hold inside."""
        return self.backbone['backbone_cfg'] if wrapper_of(self.backbone) else self.backbone

    @property
    def is_frozen(self) -> bool:
        """Whether no stage of the new backbone trains."""
        return self.new_backbone.get('frozen_stages', -1) > max(self.new_backbone['out_indices'])

    def frozen_notes(self) -> list[str]:
        """Says so where stages are frozen that have no weights to start from."""
        frozen = self.new_backbone.get('frozen_stages', -1)
        if frozen < 0 or self.new_backbone.get('init_cfg') is not None:
            return []
        return [
            f'frozen_stages={frozen} is kept, but freezes weights that are random until a checkpoint is given: pass '
            '--pretrained, or frozen_stages=-1'
        ]

    def run(self) -> None:
        """Takes the steps.

        Raises:
            SwapRefused: The algorithm has no place for another backbone.
            SwapError: One of the parts cannot be built or run.
        """
        check_site(self.site)
        self.learn_old_outputs()
        self.put_new_backbone()
        self.pool_before_a_classifier()
        self.drop_neck_that_made_a_pyramid()
        self.keep_width_of_a_shared_stage()
        self.join_deeper_stages()
        self.rewrite_necks()
        self.site.put(self.backbone, self.necks)
        self.rewrite_heads()
        self.rewrite_strides()

    def learn_old_outputs(self) -> None:
        """Runs the old backbone and its necks, and remembers what each puts out."""
        old = self.site.backbone
        size = _PERSON_SIZE if is_a(self.site.owner, 'mmdet.BaseReID') else None
        # After each module: its features, or why they could not be had. Necks that come or go shift it along.
        self.known = learn_outputs([old, *self.necks], size)
        if isinstance(self.known[0], Exception):
            raise SwapError(
                f'{self.site.backbone_path} ({type_name(old)}) cannot be built and run to learn its outputs: '
                f'{_explain(self.known[0])}' + _how_to_import(old)
            )
        self.old: list[Feature] = self.known[0]
        self.before = self.old
        self.notes += [_LOST[name] for name in lineage(old) if name in _LOST]

    def put_new_backbone(self) -> None:
        """Writes the new backbone's config, with a stage for each output of the old one, and runs it."""
        old = self.site.backbone
        crop = self._training_crop()
        wrapper = wrapper_of(old)
        if wrapper:
            stages, rewrite = wrapper
            inner = learn_outputs([old['backbone_cfg']])[0]
            self.backbone = {k: v for k, v in copy.deepcopy(old).items() if k != 'init_cfg'}
            self.backbone['backbone_cfg'] = self.new.write(old['backbone_cfg'], stages, None, self.bands)
            rewrite(self.backbone, inner, [self.new.channels[i] for i in stages])
        else:
            chosen, notes = choose_stages(self.old, self.task, self.new.strides)
            self.backbone = self.new.write(old, chosen, crop, self.bands)
            self.notes += notes
        self.size = _SIZE if crop is None else (crop, crop) if isinstance(crop, int) else crop
        outputs = learn_outputs([self.backbone], self.size)[0]
        if isinstance(outputs, Exception):
            raise SwapError(f'{self.new.name} cannot be built with these arguments: {_explain(outputs)}')
        self.out = self.after = outputs

    def _training_crop(self) -> int | tuple[int, int] | None:
        """Size of the training images of a classifier, for which its window tokens are made; None in other tasks."""
        if self.task != 'classification':
            return None
        default = _PERSON_SIZE if is_a(self.site.owner, 'mmdet.BaseReID') else 224
        return training_size(self.config, default) if self.site.path == 'model' else default

    def pool_before_a_classifier(self) -> None:
        """Puts a pooling neck and, where the backbone held it, the classifier behind a map that was a vector."""
        if self.old[0].ndim == 3 and self.necks and is_a(self.necks[0], 'mmpretrain.GlobalAveragePooling'):
            self.necks[0].pop('dim', None)  # it pooled tokens, and the new backbone has a map
        if any(f.ndim != 2 for f in self.old):
            return
        if self.task != 'classification' or len(self.old) > 1:
            raise SwapRefused(
                f'{type_name(self.site.backbone)} puts out vectors, not maps, and not one for a classifier'
            )
        self.necks.insert(0, {'type': 'GlobalAveragePooling'})
        self.known.insert(1, self.old)
        self.notes.append('GlobalAveragePooling stands before the head: the old backbone pooled by itself')
        head = self.site.owner.get('head')
        # The class itself, which those with a layer inherit from.
        linear = next((_LINEAR_HEADS[name] for name in lineage(head)[1:2] if name in _LINEAR_HEADS), None)
        classes = self.site.backbone.get('num_classes')
        if head and linear and classes:
            head.update(type=linear, num_classes=classes, in_channels=self.old[-1].channels)
            self.notes.append(f'the head is a {linear} now: the old backbone held the classifier')

    def drop_neck_that_made_a_pyramid(self) -> None:
        """Takes out the neck that made maps of several strides out of a plain transformer's."""
        if not (is_plain(self.old) and self.necks and is_a(self.necks[0], *_PYRAMID_NECKS)):
            return
        self.notes.append(
            f'{type_name(self.necks[0])} is gone: it made a pyramid of one stride, and the new maps are one'
        )
        if isinstance(self.known[1], Exception):
            raise SwapError(f'the neck cannot be run to learn its outputs: {_explain(self.known[1])}')
        self.before = self.known[1]
        del self.necks[0], self.known[1]

    def keep_width_of_a_shared_stage(self) -> None:
        """Brings the map of a detector without a neck to the width that its shared RoI stage is built for (C4)."""
        roi_head = self.site.owner.get('roi_head')
        if self.necks or not isinstance(roi_head, dict) or not roi_head.get('shared_head'):
            return
        width = self.before[-1].channels
        mapper = {'type': 'mmdet.ChannelMapper', 'kernel_size': 1, 'norm_cfg': None, 'act_cfg': None}
        mapper.update(in_channels=[f.channels for f in self.after], out_channels=width, num_outs=len(self.after))
        self.necks.append(mapper)
        self.known.append(self.before)
        self.notes.append(f'ChannelMapper brings the map to {width} channels, which the shared RoI stage is built for')

    def join_deeper_stages(self) -> None:
        """Gives a pose head that read one map of a small stride all stages from that stride on, joined at its size.

        HRNet's map of stride 4 has its whole depth, a pyramid's has that of its first stage alone. mmpose joins maps
        by a neck of its own.
        """
        if self.task != 'pose' or len(self.out) != 1 or self.out[0].stride == self.new.strides[-1]:
            return
        if self.necks and not is_a(self.necks[0], 'mmpose.FeatureMapProcessor'):
            return
        first = self.new.strides.index(self.out[0].stride)
        self.backbone['out_indices'] = tuple(range(first, len(self.new.strides)))
        joined = [Feature(c, s) for c, s in zip(self.new.channels, self.new.strides)][first:]
        if self.necks:
            self.necks[0]['concat'] = True
        else:
            self.necks.append({'type': 'FeatureMapProcessor', 'concat': True})
            self.known.append(self.before)
        self.out = self.after = joined
        self.notes.append(
            f'FeatureMapProcessor joins the maps of strides {[f.stride for f in joined]} at the first of them: the old '
            'map of that stride had the whole depth of its backbone'
        )

    def rewrite_necks(self) -> None:
        """Rewrites the widths that the necks read, and learns what each puts out now."""
        self.rewritten = False
        for i, neck in enumerate(self.necks):
            old_widths, new_widths = ([f.channels for f in fs] for fs in (self.before, self.after))
            self.rewritten = rewrite_neck(neck, old_widths, new_widths) or self.rewritten
            outputs = learn_outputs([self.backbone, *self.necks[: i + 1]], self.size)[-1]
            known = self.known[i + 1] if i + 1 < len(self.known) else None
            if not isinstance(known, list):
                # A neck that wants more than maps (several crops, labels): its own output width stands in the config.
                if neck.get('out_channels') is None:
                    why = _explain(known) if known else 'the neck before it cannot'
                    raise SwapError(f'neck {type_name(neck)} cannot be run to learn its outputs: {why}')
                self.before = self.after
                return
            if isinstance(outputs, Exception):
                raise SwapRefused(
                    f'neck {type_name(neck)} does not take the maps of {self.new.name}: {_explain(outputs)}'
                )
            self.before, self.after = known, outputs

    def rewrite_heads(self) -> None:
        """Rewrites the widths that the heads read."""
        old, new = ([f.channels for f in features] for features in (self.before, self.after))
        if old != new:
            for path, node in self.site.consumers():
                self.rewritten = rewrite_input(node, old, new) or self.rewritten
                if path.endswith('.roi_head') and len(old) == 1:
                    rewrite_roi_head(node, old[0], new[0])
            if not self.rewritten:
                raise SwapRefused(
                    f'nothing behind {self.site.backbone_path} says in the config that it reads {old} channels, so '
                    'their width is fixed in code'
                )
        heads = self.site.owner.get('decode_head')
        if isinstance(heads, (list, tuple)) and align_object_context(heads, new):
            self.notes.append("the head before the OCR head reads that one's level now: they weigh each other's pixels")

    def rewrite_strides(self) -> None:
        """Rewrites lists of all strides in the heads of a segmentor; a detector's are those of its anchors."""
        if self.task == 'segmentation':
            for _, node in self.site.consumers():
                rewrite_strides(node, [f.stride for f in self.before], [f.stride for f in self.after])


def _explain(error: Any) -> str:
    line = next((line for line in str(error).strip().split('\n') if line), '')
    return f'{type(error).__name__}: {line}'


def _how_to_import(backbone: dict) -> str:
    if lineage(backbone) or not isinstance(backbone.get('type'), str):
        return ''
    return (
        f"\nNothing registers '{backbone['type']}': name its module in custom_imports, or give the class as its type."
    )
