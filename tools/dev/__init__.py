"""Programs that serve this repository and are no part of the package."""
