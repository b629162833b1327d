"""Times backbones in turn and counts what they keep and copy; ``benchmark.py --help`` lists the options."""

from command import run

if __name__ == '__main__':
    run('dev.benchmark.cli')
