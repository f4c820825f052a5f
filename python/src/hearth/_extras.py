"""Packages that only some calls need."""

from __future__ import annotations

import importlib
from typing import Any

from ._errors import MissingExtraError


def extra(module: str, name: str) -> Any:
    """A module of an extra of this package.

    @param name  of the extra, as `pip install 'hearth[name]'` takes it
    """
    try:
        return importlib.import_module(module)
    except ImportError as e:
        raise MissingExtraError(f"this needs {module.split('.')[0]}: pip install 'hearth[{name}]'") from e
