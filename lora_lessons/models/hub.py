"""A model from the hub: its config, tokenizer and safetensors are fetched, and nothing else."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import ModelError, Unavailable, first_line
from .configs import read_config
from .embedded import EMBEDDED
from .weights import INDEX, SINGLE, files_in

# What makes a tokenizer, by transformers' names.
TOKENIZER = ["tokenizer*", "special_tokens_map.json", "added_tokens.json", "*.jinja", "vocab.*", "merges.txt"]


def fetch(hub_id: str) -> Path:
    """The folder of a hub model's config, tokenizer and safetensors, fetched where needed; nothing else is fetched."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import HF_HUB_CACHE

    weights, size = _weights(hub_id)
    free = shutil.disk_usage(next(p for p in (Path(HF_HUB_CACHE), *Path(HF_HUB_CACHE).parents) if p.exists())).free
    lacking = _lacking(hub_id, weights)
    if free < size * len(lacking) / len(weights):
        raise Unavailable(
            f"{hub_id} is {size / 1e9:.1f} GB, {len(lacking)} of {len(weights)} files are still to come, and "
            f"{free / 1e9:.1f} GB is free in {HF_HUB_CACHE}: make room, or set HF_HOME to another disk."
        )
    return Path(snapshot_download(hub_id, allow_patterns=[*weights, "*.json", "*.txt", "*.model", "*.jinja"]))


def to_fetch(hub_id: str) -> int | None:
    """The bytes of weights that `fetch` would still fetch, by the hub's own list; None where the hub does not say.

    Nothing is fetched but the index of a model in several files.
    """
    from huggingface_hub import model_info

    with suppress(Exception), without_retries() as answers:  # that library's, or those of the ones below it
        lacking = _lacking(hub_id, _weights(hub_id)[0])
        if not lacking:
            return 0
        if answers:
            sizes = {file.rfilename: file.size for file in model_info(hub_id, files_metadata=True).siblings or ()}
            return sum(sizes[name] or 0 for name in lacking)
    return None


def _weights(hub_id: str) -> tuple[list[str], int]:
    """The files of a hub model's weights, and their bytes by its index, 0 where none says;
    without an index it is one file."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    with suppress(EntryNotFoundError):
        index = Path(hf_hub_download(hub_id, INDEX))
        return [INDEX, *files_in(index)], _total_size(index)
    return [SINGLE], 0


def _lacking(hub_id: str, names: Sequence[str]) -> list[str]:
    """Those of a hub model's files that the hub's cache does not hold."""
    from huggingface_hub import try_to_load_from_cache

    return [name for name in names if not isinstance(try_to_load_from_cache(hub_id, name), str)]


def fetch_config(hub_id: str) -> dict[str, Any]:
    """What a hub model's config.json says. Raises ModelError with what to do when it cannot be had, or is damaged."""
    from huggingface_hub import hf_hub_download

    with one_sentence(hub_id, local=False):
        return read_config(Path(hf_hub_download(hub_id, "config.json")).parent)


def fetch_adapter(hub_id: str) -> Path:
    """The folder of an adapter of the hub: its configuration, its safetensors, and its tokenizer if it has one.

    Says on stderr that it is fetched. Raises ModelError with what to do when it cannot be had.
    """
    from huggingface_hub import snapshot_download

    print(f"Fetching the adapter {hub_id} from the model hub (not its base) …", file=sys.stderr)
    wanted = ["adapter_config.json", "adapter_model.safetensors", *TOKENIZER]
    with one_sentence(hub_id, local=False):
        return Path(snapshot_download(hub_id, allow_patterns=wanted))


def fetch_file(hub_id: str, revision: str, name: str, into: Path) -> Path | None:
    """One file of a hub model as it was at a commit, in the folder `into`; None where the hub does not give it,
    and why is said."""
    from huggingface_hub import hf_hub_download

    with without_retries() as answers:
        if not answers:
            return None
        try:
            return Path(hf_hub_download(hub_id, name, revision=revision, local_dir=into))
        except Exception as error:  # that library's, or those of the ones below it
            print(f"The model hub did not give {name} ({first_line(error)}).", file=sys.stderr, flush=True)
            return None


def _total_size(index: Path) -> int:
    """The bytes that an index says its files have; 0 where it does not say."""
    about = json.loads(index.read_text(encoding="utf-8")).get("metadata")
    size = about.get("total_size") if isinstance(about, dict) else None
    return int(size) if isinstance(size, int | float) and 0 <= size < 2**60 else 0


@contextmanager
def without_retries() -> Iterator[bool]:
    """Whether the hub answers. Where it does not, only its cache is looked at, and no retry or HTTP line is printed."""
    from huggingface_hub import constants
    from huggingface_hub.utils import logging

    verbosity, offline = logging.get_verbosity(), constants.HF_HUB_OFFLINE
    logging.set_verbosity_error()
    answers = not offline and _answers(constants.ENDPOINT)
    constants.HF_HUB_OFFLINE = not answers
    try:
        yield answers
    finally:
        constants.HF_HUB_OFFLINE = offline
        logging.set_verbosity(verbosity)


# Seconds that the hub has to answer, a name that no server resolves and a connection that nobody takes included.
PATIENCE = 4.0


def _answers(url: str) -> bool:
    """Whether the hub answers within PATIENCE, by way of the proxies that its own library takes.

    A status from 500 on is no answer: a proxy gives one for a hub that it does not reach, and the library asks again.
    Asked in a thread that is left behind when it is late: no library's timeout ends the look-up of a name.
    """
    from huggingface_hub import get_session

    answered: list[bool] = []

    def ask() -> None:
        with suppress(Exception):  # that library's, or those of the one below it
            answered.append(get_session().head(url, timeout=PATIENCE).status_code < 500)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PATIENCE)
    return any(answered)


@contextmanager
def one_sentence(source: str, local: bool) -> Iterator[None]:
    """Whatever a library says when `source` cannot be loaded becomes a ModelError with what to do next.

    Damaged files make libraries fail in any way, so that its block should hold little but calls of them.
    """
    answers = True
    try:
        if local:
            yield
        else:
            with without_retries() as answers:
                yield
    except (ModelError, PermissionError):
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":  # that of a library in Rust
            raise
        if "custom code" in str(error):
            raise ModelError(
                f"{source} needs code that comes with it, and such code is never run here: give a model of a family "
                "that transformers has a class for, with its own tokenizer class."
            ) from error
        if local:
            raise ModelError(
                f"{source} could not be loaded ({first_line(error)}): is the download complete? Fetch it again (the "
                "embedded base is made anew when its folder is deleted)."
            ) from error
        from huggingface_hub import constants

        kind = ModelError
        if answers:
            why = (
                f" ({first_line(error)}). Check the spelling and the network, log in if the model is gated, "
                "or give a local folder"
            )
        else:
            kind = Unavailable
            silent = "is switched off by HF_HUB_OFFLINE" if constants.HF_HUB_OFFLINE else "does not answer"
            why = f", which {silent}, and its cache does not hold it. Check the network, or give a local folder"
        raise kind(
            f"{source!r} could not be fetched from the model hub{why}; the embedded base ({EMBEDDED!r}) needs no hub."
        ) from error
