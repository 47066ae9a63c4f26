"""Prints what the system it runs in is made of, as a CycloneDX 1.6 document.

Python's and Debian's packages; the same system makes the same document. Runs in an
image, with nothing but the standard library.
"""

import importlib.metadata
import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

OURS = "glacier-sync"


def python_packages() -> Iterator[dict[str, Any]]:
    """Yield the packages of this Python's environment."""
    for package in importlib.metadata.distributions():
        name = re.sub(r"[-_.]+", "-", package.name).lower()
        yield component(name, package.version, f"pkg:pypi/{name}@{quote(package.version)}")


def debian_packages() -> Iterator[dict[str, Any]]:
    """Yield the packages that dpkg has installed."""
    release = platform.freedesktop_os_release()
    distribution = f"{release['ID']}-{release.get('VERSION_ID', 'unknown')}"
    shown = subprocess.run(
        ["dpkg-query", "--show", "--showformat", "${Package}\t${Version}\t${Architecture}\n"],
        capture_output=True,
        text=True,
        check=True,
    )
    for line in shown.stdout.splitlines():
        name, version, architecture = line.split("\t")
        qualifiers = f"arch={architecture}&distro={distribution}"
        url = f"pkg:deb/{release['ID']}/{quote(name)}@{quote(version, safe='')}?{qualifiers}"
        yield component(name, version, url)


def component(name: str, version: str, url: str) -> dict[str, Any]:
    """Return a package as CycloneDX describes it; its package URL names it."""
    return {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url}


def document() -> dict[str, Any]:
    """Return the whole; what the image is for is described apart from what it is made of."""
    components = sorted([*python_packages(), *debian_packages()], key=lambda each: each["purl"])
    ours = next((each for each in components if each["purl"].startswith(f"pkg:pypi/{OURS}@")), None)
    if ours is None:
        sys.exit(f"{sys.executable} has no {OURS}: expected an image of Glacier Sync; name that one")
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {**ours, "type": "application"}},
        "components": [each for each in components if each is not ours],
    }


if __name__ == "__main__":
    json.dump(document(), sys.stdout, indent=1)
    print()
