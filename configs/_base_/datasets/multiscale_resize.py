# The 3x recipe's image sizes, as in DETR: a short side of 480 to 800, for half of the images after
# a crop.
short_sides = [(side, 1333) for side in range(480, 801, 32)]
multiscale_resize = dict(
    type='RandomChoice',
    transforms=[
        [dict(type='RandomChoiceResize', scales=short_sides, keep_ratio=True)],
        [
            dict(
                type='RandomChoiceResize',
                scales=[(400, 1333), (500, 1333), (600, 1333)],
                keep_ratio=True,
            ),
            dict(
                type='RandomCrop',
                crop_type='absolute_range',
                crop_size=(384, 600),
                allow_negative_crop=True,
            ),
            dict(type='RandomChoiceResize', scales=short_sides, keep_ratio=True),
        ],
    ],
)
del short_sides
