"""Writes the weights of a checkpoint for others; ``publish_model.py --help`` lists the options."""

from command import run

if __name__ == '__main__':
    run('mmsepvit.cli.publish_model')
