"""What the child of a fork inherits and may not use."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Inheritable(Protocol):
    """Something whose descriptors a child of a fork has as well."""

    def forget(self) -> None:
        """In the child: closes its descriptors, says nothing to anybody."""


_owners: "weakref.WeakSet[Inheritable]" = weakref.WeakSet()


def forget_in_child(owner: Inheritable) -> None:
    """Has the child of each fork forget `owner`, as long as it lives."""
    _owners.add(owner)


def _in_child() -> None:
    for owner in list(_owners):
        owner.forget()
    _owners.clear()


os.register_at_fork(after_in_child=_in_child)
