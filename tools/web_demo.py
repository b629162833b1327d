"""Serves a page on which to drop an image; ``web_demo.py --help`` lists the options."""

from command import run

if __name__ == '__main__':
    run('mmsepvit.cli.web_demo')
