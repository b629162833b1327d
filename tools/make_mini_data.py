"""Writes generated mini data; ``make_mini_data.py --help`` lists the options."""

from command import run

if __name__ == '__main__':
    run('mmsepvit.cli.make_mini_data')
