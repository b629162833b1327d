"""The classes that generated scenes show, and what each real data set calls them."""

from __future__ import annotations

CLASS_NAMES = (
    'clutter',  # what annotators leave out, so that the value for "unlabelled" occurs too
    'sky',
    'mountain',
    'grass',
    'sand',
    'water',
    'road',
    'building',
    'tree',
    'person',
    'car',
    'sheep',
    'elephant',
    'zebra',
)

# Values of annotation images in the order of CLASS_NAMES.
ADE_VALUES = (0, 3, 17, 10, 47, 22, 7, 2, 5, 13, 21, 127, 127, 127)
CITYSCAPES_VALUES = (255, 10, 255, 9, 255, 255, 0, 2, 8, 11, 13, 255, 255, 255)
VOC_VALUES = (255, 0, 0, 0, 0, 0, 0, 0, 0, 15, 7, 17, 0, 0)
# COCO's category ids in the same order; those up to 90 are things.
COCO_IDS = (0, 187, 192, 193, 154, 178, 149, 197, 184, 1, 3, 20, 22, 24)

IMAGENET_CLASSES = {
    # WordNet id: what the picture is of, and the class's place in ImageNet-1k's list
    'n02391049': ('zebra', 340),
    'n02412080': ('sheep', 348),  # ram
    'n02504458': ('elephant', 386),  # African elephant
    'n02793495': ('building', 425),  # barn
    'n04285008': ('car', 817),  # sports car
    'n09193705': ('mountain', 970),  # alp
    'n09428293': ('water', 978),  # seashore
    'n09835506': ('person', 981),  # ballplayer
}

_THINGS = (  # noqa: SIM905, a list of them would take 80 lines
    'person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,parking meter,'
    'bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,frisbee,'
    'skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,'
    'wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,'
    'chair,couch,potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,'
    'toaster,sink,refrigerator,book,clock,vase,scissors,teddy bear,hair drier,toothbrush'
).split(',')
_STUFF = (  # noqa: SIM905
    'banner,blanket,bridge,cardboard,counter,curtain,door-stuff,floor-wood,flower,fruit,gravel,house,light,'
    'mirror-stuff,net,pillow,platform,playingfield,railroad,river,road,roof,sand,sea,shelf,snow,stairs,tent,towel,'
    'wall-brick,wall-stone,wall-tile,wall-wood,water-other,window-blind,window-other,tree-merged,fence-merged,'
    'ceiling-merged,sky-other-merged,cabinet-merged,table-merged,floor-other-merged,pavement-merged,mountain-merged,'
    'grass-merged,dirt-merged,paper-merged,food-other-merged,building-other-merged,rock-merged,wall-other-merged,'
    'rug-merged'
).split(',')
# Ids that COCO never used in its panoptic files.
_UNUSED: tuple[int, ...] = ()
_UNUSED += (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91, 94, 96, 97, 98, 99, 101, 102, 103, 104, 105, 106, 108, 110, 111)
_UNUSED += (113, 114, 115, 116, 117, 120, 121, 123, 124, 126, 127, 129, 131, 132, 134, 135, 136, 137, 139, 140, 142)
_UNUSED += (143, 146, 150, 152, 153, 157, 158, 160, 162, 163, 164, 165, 167, 169, 170, 172, 173, 174, 179, 182, 183)


def coco_categories(stuff: bool) -> list[dict]:
    """The ``categories`` of COCO's files: 80 things, and for panoptic segmentation 53 kinds of stuff."""
    ids = [number for number in range(1, 201) if number not in _UNUSED]
    named = [{'id': number, 'name': name, 'isthing': int(number <= 90)} for number, name in zip(ids, _THINGS + _STUFF)]
    return named if stuff else named[: len(_THINGS)]
