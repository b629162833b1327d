"""The classes that generated scenes show and what each real data set calls them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SceneClass:
    """One class of the generated scenes.

    Attributes:
        name: Name inside this package.
        ade_id: Value in an ADE20K annotation PNG (1 to 150), or 0 for unlabelled.
        coco_id: Category id in COCO's instance files, or None where COCO has no such category.
        standing: Whether it is an object standing on the ground rather than a region of it.
    """

    name: str
    ade_id: int
    coco_id: int | None
    standing: bool


#: Index in this tuple is the class index in a rendered label map. ``clutter`` stands for what
#: annotators leave out, so the real "unlabelled" value occurs too.
CLASSES: tuple[SceneClass, ...] = (
    SceneClass('clutter', 0, None, True),
    SceneClass('sky', 3, None, False),
    SceneClass('mountain', 17, None, False),
    SceneClass('grass', 10, None, False),
    SceneClass('sand', 47, None, False),
    SceneClass('water', 22, None, False),
    SceneClass('road', 7, None, False),
    SceneClass('building', 2, None, True),
    SceneClass('tree', 5, None, True),
    SceneClass('person', 13, 1, True),
    SceneClass('car', 21, 3, True),
    SceneClass('sheep', 127, 20, True),
    SceneClass('elephant', 127, 22, True),
    SceneClass('zebra', 127, 24, True),
)

CLASS_INDEX: dict[str, int] = {c.name: i for i, c in enumerate(CLASSES)}

#: Classes with instance annotations, in COCO's order.
THING_NAMES: tuple[str, ...] = tuple(c.name for c in CLASSES if c.coco_id is not None)

#: WordNet id -> what fills the picture (the ``focus`` of :func:`sample_scene`) and the index that
#: the class has in ImageNet-1k's sorted list.
IMAGENET_FOCUS: dict[str, tuple[str, int]] = {
    'n02391049': ('zebra', 340),
    'n02412080': ('sheep', 348),  # ram
    'n02504458': ('elephant', 386),  # African elephant
    'n02793495': ('building', 425),  # barn
    'n04285008': ('car', 817),  # sports car
    'n09193705': ('mountain', 970),  # alp
    'n09428293': ('water', 978),  # seashore
    'n09835506': ('person', 981),  # ballplayer
}
