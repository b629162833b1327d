"""COCO's 80 categories, with their real ids, which have gaps."""

from __future__ import annotations

# Supercategory -> names in the order of their ids.
_NAMES = {
    'person': ['person'],
    'vehicle': ['bicycle', 'car', 'motorcycle', 'airplane', 'bus', 'train', 'truck', 'boat'],
    'outdoor': ['traffic light', 'fire hydrant', 'stop sign', 'parking meter', 'bench'],
    'animal': ['bird', 'cat', 'dog', 'horse', 'sheep', 'cow', 'elephant', 'bear', 'zebra', 'giraffe'],
    'accessory': ['backpack', 'umbrella', 'handbag', 'tie', 'suitcase'],
    'sports': [
        'frisbee',
        'skis',
        'snowboard',
        'sports ball',
        'kite',
        'baseball bat',
        'baseball glove',
        'skateboard',
        'surfboard',
        'tennis racket',
    ],
    'kitchen': ['bottle', 'wine glass', 'cup', 'fork', 'knife', 'spoon', 'bowl'],
    'food': ['banana', 'apple', 'sandwich', 'orange', 'broccoli', 'carrot', 'hot dog', 'pizza', 'donut', 'cake'],
    'furniture': ['chair', 'couch', 'potted plant', 'bed', 'dining table', 'toilet'],
    'electronic': ['tv', 'laptop', 'mouse', 'remote', 'keyboard', 'cell phone'],
    'appliance': ['microwave', 'oven', 'toaster', 'sink', 'refrigerator'],
    'indoor': ['book', 'clock', 'vase', 'scissors', 'teddy bear', 'hair drier', 'toothbrush'],
}
# Ids that COCO reserved and never used.
_UNUSED = frozenset((12, 26, 29, 30, 45, 66, 68, 69, 71, 83))


def _categories() -> list[dict]:
    ids = (number for number in range(1, 91) if number not in _UNUSED)
    pairs = [(group, name) for group, names in _NAMES.items() for name in names]
    return [{'supercategory': group, 'id': number, 'name': name} for number, (group, name) in zip(ids, pairs)]


#: The ``categories`` of COCO's instance files.
COCO_CATEGORIES: list[dict] = _categories()
