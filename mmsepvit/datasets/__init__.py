"""Data sets: a check of every file before a training, and small generated ones."""
