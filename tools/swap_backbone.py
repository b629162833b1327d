"""Puts SepViT in place of the backbone of any OpenMMLab config; ``swap_backbone.py --help`` lists the options."""

from command import run

if __name__ == '__main__':
    run('mmsepvit.cli.swap_backbone')
