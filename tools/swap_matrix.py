"""Tries SepViT in every algorithm that the packages ship; ``swap_matrix.py --help`` lists the options."""

from command import run

if __name__ == '__main__':
    run('dev.swap_matrix.cli')
