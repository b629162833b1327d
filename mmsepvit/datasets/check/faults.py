"""What can be wrong with a data set, what to do about it, and a list of what is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

FAULTS: dict[str, tuple[str, str]] = {
    'missing-folder': ('folder does not exist', 'docs/data.md says where to get the data and how to lay it out'),
    'missing-file': ('file that is listed does not exist', 'copy it again, or take it out of the list'),
    'no-images': ('no images found', 'look at data_root, data_prefix and img_suffix of the config'),
    'dataset-class': ('the dataset class refuses it', 'what it says is what a training would end with'),
    'unreadable-image': ('image that the config cannot read to its end', 'copy it again, or convert it to JPEG or PNG'),
    'tiny-image': ('image of a few pixels', 'take it out: no patch of the model fits into it'),
    'unreadable-annotation': (
        'annotation that the config cannot read',
        'a class map has one channel, and a value is the number of a class',
    ),
    'size-mismatch': (
        'image, as it is loaded, and annotation differ in size',
        "write the loaded image's size into the annotation, or save the image without orientation in its header",
    ),
    'image-without-annotation': ('image has no annotation', 'add the annotation, or take the image out'),
    'annotation-without-image': ('annotation has no image', 'look at the names and endings, or take it out'),
    'class-id-range': ('class id out of range', 'look at classes, reduce_zero_label and num_classes of the config'),
    'one-class': (
        'all annotations together have one class at most',
        'number the classes 0, 1, 2 ...: 255 is ignored, so a mask of 0 and 255 has to become one of 0 and 1',
    ),
    'no-objects': (
        'no image has an object',
        'compare the names of the classes in the config with those in the annotations',
    ),
    'class-names': ('names of classes that cannot be meant', 'give train, val and test the same names in one order'),
    'class-count': ('head with another number of classes', "set num_classes of all heads to the dataset's classes"),
    'malformed-json': ('annotation file is no valid JSON of its format', 'write it again'),
    'metric-file': ('annotation file that the metric cannot use', 'validation would end with an error after training'),
    'duplicate-id': ('id or name stands twice', 'number the entries anew'),
    'unknown-category': ('category that file or dataset does not have', "look at categories and the config's classes"),
    'bad-box': ('box outside its image or without area', 'clip the box to the image, or take it out'),
    'bad-mask': ('mask that is missing or cannot be drawn', 'draw the mask anew, or take the object out'),
    'malformed-line': ('line that is not "file label"', 'write the line anew'),
    'mixed-labels': ('one class folder with several labels', 'look which label is meant'),
    'empty-class-folder': ('class folder without images', 'add images, or remove the folder from all splits'),
}
"""Kinds of faults: what each means, and what to do."""


class Fault(NamedTuple):
    """Something wrong with a data set.

    Attributes:
        kind: A key of :data:`FAULTS`.
        where: The file or folder, the entry of a file, or the key of the config.
        what: What is wrong there, with figures.
    """

    kind: str
    where: str
    what: str = ''


@dataclass
class Report:
    """What was found in one data set.

    Attributes:
        splits: Splits of the config that use it.
        dataset: Name of its class.
        root: Its folder.
        counts: Name to figure, such as images, annotations and samples used.
        faults: All faults.
    """

    splits: list[str]
    dataset: str
    root: str
    counts: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def add(self, faults: Iterable[Fault]) -> None:
        """Adds faults."""
        self.faults += faults
