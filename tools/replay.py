"""Repeats a training step that was not finite; ``replay.py --help`` lists the options."""

from command import run

if __name__ == '__main__':
    run('mmsepvit.cli.replay')
