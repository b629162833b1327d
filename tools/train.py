"""Trains any config of this project; ``train.py --help`` lists the options."""

from command import run

if __name__ == '__main__':
    run('mmsepvit.cli.train')
