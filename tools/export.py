"""Writes a checkpoint as a file for another runtime, checked; ``export.py --help`` lists the options."""

from command import run

if __name__ == '__main__':
    run('mmsepvit.cli.export')
