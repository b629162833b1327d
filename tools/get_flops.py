"""Counts parameters and multiply-adds of a config's model; ``get_flops.py --help`` lists the options."""

from command import run

if __name__ == '__main__':
    run('mmsepvit.cli.get_flops')
