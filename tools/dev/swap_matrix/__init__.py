"""Which algorithms of the OpenMMLab packages take SepViT: every shipped config is swapped, built and run."""
