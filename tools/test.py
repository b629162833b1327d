"""Tests a checkpoint of any config; ``test.py --help`` lists the options."""

from command import run

if __name__ == '__main__':
    run('mmsepvit.cli.test')
