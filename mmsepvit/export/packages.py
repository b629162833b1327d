"""Packages that only exporting needs, imported where they are used."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from ..errors import UserError


def needed(name: str, what: str) -> ModuleType:
    """Imports a module of a package that may not be there.

    Args:
        name: The module, such as 'onnxruntime.quantization'.
        what: What it is needed for, such as '--backend onnxruntime'.

    Raises:
        UserError: The package is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or name).split('.')[0]
        raise UserError(
            f"'{missing}' is not installed, and {what} needs it.\n"
            'requirements/export.in has the versions that are tested: pip install -r requirements/export.in, or '
            "pip install 'mmsepvit[export]'."
        ) from None
