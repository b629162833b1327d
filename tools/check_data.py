"""Reads every file of a config's data sets and says what is wrong; ``check_data.py --help`` lists the options."""

from command import run

if __name__ == '__main__':
    run('mmsepvit.cli.check_data')
