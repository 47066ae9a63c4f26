"""Amazon's descriptions of its services, read once: they are large, and each client would read them anew."""

import pickle
from functools import cache
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader, Loader, create_loader


def remember_descriptions(patch: pytest.MonkeyPatch) -> None:
    """Read each description once, until ``patch.undo``."""
    load, services = JSONFileLoader().load_file, cache(create_loader().list_available_services)
    # Clients change what they were given, so each gets its own; the emulator reads the same ones.
    stored = cache(lambda path: pickle.dumps(load(path)))

    def load_stored(_: JSONFileLoader, path: str) -> Any:
        return pickle.loads(stored(path))

    patch.setattr(Loader, "list_available_services", lambda _, type_name: services(type_name))
    patch.setattr(JSONFileLoader, "load_file", load_stored)
