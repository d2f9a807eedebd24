"""How pickled handles come back: by name, in whatever process unpickles them."""

from __future__ import annotations

import os
import weakref
from typing import Any

from ._native import Domain

# One participant per domain and process, however many handles of it are unpickled. A child made by
# fork inherits the table and may use it: handles reopen themselves there.
_domains: weakref.WeakValueDictionary[tuple[object, ...], Domain] = weakref.WeakValueDictionary()


def reopen_domain(arguments: dict[str, Any]) -> Domain:
    """Open the domain these `axonic.open` arguments describe, or share the one already reopened."""
    key = (os.getpid(), *sorted((name, str(value)) for name, value in arguments.items()))
    domain = _domains.get(key)
    if domain is None or domain.closed:
        domain = _domains[key] = Domain(**arguments)
    return domain


def reopen(arguments: dict[str, Any], noun: str, name: str, options: dict[str, Any]) -> object:
    """Open a handle: `noun` is the method of Domain that makes it."""
    return getattr(reopen_domain(arguments), noun)(name, **options)
