"""How the weights that the package carries are made, and the proofs of docs/without_weights.md; for a checkout only.

Run from the root of the repository, as ``PYTHONPATH=.:tools python -m dev.weights.NAME``; each says what it needs.
In this order: pictures, distill prepare, distill train, export; then knn, fashion, composites, dense; then tables.
"""
