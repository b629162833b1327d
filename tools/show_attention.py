"""Draws the window attention of a model over an image; ``show_attention.py --help`` lists the options."""

from command import run

if __name__ == '__main__':
    run('mmsepvit.cli.show_attention')
