"""Converts a published or a Swin checkpoint; ``convert_checkpoint.py --help`` lists the options."""

from command import run

if __name__ == '__main__':
    run('mmsepvit.cli.convert_checkpoint')
