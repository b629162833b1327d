"""Config files: finding, reading and changing them (options, ``--mini``, SepViT for another backbone)."""
