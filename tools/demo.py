"""Trains and tests SepViT on mini data and shows the result; ``demo.py --help`` lists the options."""

from command import run

if __name__ == '__main__':
    run('mmsepvit.cli.demo')
