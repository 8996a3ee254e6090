"""What was worked out once, kept on disk: one file each, written whole, ignored when it is damaged or out of date."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from .files import check_readable, whole_file
from .machine import version
from .paths import cache_dir, sources

# The code that builds what is counted, and counts it, relative to the package.
LEDGER = (
    "*.py",
    "memory/*.py",
    "training/*.py",
    "models/*.py",
    "models/*.toml",
    "quant/*.py",
    "fast/*.py",
    "tasks/*.py",
)
LIBRARIES = ("torch", "transformers", "peft", "bitsandbytes")


def once(
    kind: str, key: Any, names: Sequence[str], make: Callable[[], dict[str, Any]], code: Sequence[str] = ()
) -> dict[str, Any]:
    """What `make` gives (plain data by `names`),
    from the cache's worked_out/ if it was made for this `kind` and `key` before.

    By the same code, too, LEDGER's and whatever other files of the package `code` names, and with the same versions of
    the libraries whose models and layers are counted.
    """
    identity = json.dumps([kind, key, _made_by((*LEDGER, *code))], sort_keys=True)
    file = cache_dir() / "worked_out" / f"{kind}-{hashlib.sha256(identity.encode()).hexdigest()[:32]}.json.gz"
    try:
        check_readable(file)
        kept = json.loads(gzip.decompress(file.read_bytes()))
        if isinstance(kept, dict) and kept.keys() == set(names):
            return kept
    except (OSError, EOFError, ValueError, RecursionError, zlib.error):
        pass  # there is none, or half of one: gzip's checksum tells
    made = make()
    packed = gzip.compress(json.dumps(made).encode(), compresslevel=1)
    try:
        with whole_file(file) as temporary:
            temporary.write_bytes(packed)
    except OSError:
        pass  # a full disk or a folder that cannot be written: the next time takes as long as this one
    return json.loads(json.dumps(made))


@cache
def _made_by(code: tuple[str, ...]) -> list[str]:
    """The versions of the libraries, and a digest of the package's files that `code` names."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources(code)))
    return [*(f"{name} {version(name)}" for name in LIBRARIES), digest.hexdigest()]
