"""Ray for one command: started on this machine and ended with it, or joined where it runs."""

from __future__ import annotations

import importlib.util
import logging
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from ..errors import first_line
from ..files import scratch
from ..interrupts import first_one_asks, handlers_kept
from .ray_tasks import PATIENCE, Share

STARTS = 3
LONGEST_FOLDER = 8  # characters of the temporary folder: a socket's whole path may have about 100
LOOPBACK = "127.0.0.1"
TOKEN = secrets.token_hex(32)  # of every Ray that this process starts: Ray reads it once


def check_installed() -> None:
    """Raise ValueError, naming the extra to install, where there is no Ray with Tune."""
    if importlib.util.find_spec("ray") is None or importlib.util.find_spec("pyarrow") is None:
        raise ValueError("Ray is not installed: pip install 'lora-lessons[cluster]', or leave out --ray.")


@contextmanager
def running(address: str, share: Share, slots: int) -> Iterator[int]:
    """While the block runs there is Ray; yields how many tasks of one `share` it runs at once.

    Without an address it is started here, for `slots` tasks, and all of it ends with the block: on loopback, with a
    token of its own, without a dashboard, and nothing is told to Ray's makers. With HOST:PORT, or "auto" for the one on
    this machine, it is joined and left again. A Ray that this process has already is used as it is, without an address.
    Raises ValueError in one sentence where none answers at `address`.
    """
    import ray

    with ExitStack() as stack:
        if ray.is_initialized() and address:
            raise ValueError(f"this process has a Ray already: leave out {address} to use that one.")
        if not ray.is_initialized():
            stack.enter_context(_joined(address) if address else _started(share, slots))
        yield sum(share.fits(node["Resources"]) for node in ray.nodes() if node["Alive"])


@contextmanager
def _started(share: Share, slots: int) -> Iterator[None]:
    """Ray on this machine. On a busy one its processes may find each other too late, so it is started anew, a few times."""
    with ExitStack() as stack:
        for left in reversed(range(STARTS)):
            try:
                stack.enter_context(_started_once(share, slots))
                break
            except Exception as error:  # Ray says in many ways that a process of its own was late
                if not left:
                    again = "leave out --ray, or try again when the machine is less busy"
                    raise ValueError(f"Ray could not be started ({first_line(error)}): {again}.") from error
        yield


@contextmanager
def _started_once(share: Share, slots: int) -> Iterator[None]:
    """Ray on this machine, whose processes all end with the block."""
    import psutil
    import ray
    from ray._private import ray_constants

    here = psutil.Process()
    before = set(here.children(recursive=True))
    place = "/tmp" if len(tempfile.gettempdir()) > LONGEST_FOLDER else None
    # without a mode, Ray turns its token on for what it starts itself
    token = {"RAY_AUTH_MODE": None, "RAY_AUTH_TOKEN": TOKEN}
    # where there may be a cluster, Ray takes 127.0.0.1 for a wish to be reached from outside
    cluster, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    told = {"RAY_USAGE_STATS_ENABLED": "0", ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR: "0", **token}
    with scratch("ray", place) as home, _environment(**told):
        try:
            with handlers_kept():
                ray.init(
                    "local",
                    num_cpus=slots * share.threads,
                    num_gpus=slots * share.cards,
                    object_store_memory=10**8,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    _memory=slots * share.memory,
                    _node_ip_address=LOOPBACK,
                    _temp_dir=str(home),
                )
            yield
        finally:
            with first_one_asks():
                ours = set(here.children(recursive=True)) - before
                ray.shutdown()
                _, left = psutil.wait_procs(ours, timeout=PATIENCE)
                for process in left:
                    process.kill()
                psutil.wait_procs(left, timeout=PATIENCE)
                ray_constants.ENABLE_RAY_CLUSTER = cluster


@contextmanager
def _joined(address: str) -> Iterator[None]:
    """The Ray that runs at `address`."""
    import ray

    again = "start one with `ray start --head`, or leave the address out to have one on this machine"
    host, _, port = address.rpartition(":")
    if address != "auto" and not (host and "/" not in host and port.isdecimal()):
        raise ValueError(f"{address} is no address of Ray: give HOST:PORT, such as 10.0.0.5:6379, or auto.")
    try:
        if address != "auto":
            socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
        with _environment(RAY_USAGE_STATS_ENABLED="0"), handlers_kept():
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, OverflowError) as error:
        raise ValueError(f"no Ray answers at {address} ({first_line(error)}): {again}.") from error
    except RuntimeError as error:
        raise ValueError(f"the Ray at {address} cannot be joined ({first_line(error)}).") from error
    try:
        yield
    finally:
        with first_one_asks():
            ray.shutdown()


@contextmanager
def _environment(**variables: str | None) -> Iterator[None]:
    """Variables for the processes that are started in the block, None for none; afterwards they are as they were."""
    before = {name: os.environ.get(name) for name in variables}
    _set(variables)
    try:
        yield
    finally:
        _set(before)


def _set(variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
