"""Students' code held in: for each exercise a process of its own, with limits of time and memory, and no network.

python -m lora_tools.marking.confined: a job comes as a line of JSON on standard input, and is answered by a line. Three
processes take part in each. This one waits, and ends the others. The check's knows the verdict and runs no student's
code. The student's knows its own code, and says only values. On Linux it sees no other process and no network (new
namespaces), reads Python and the course alone, and writes into its own folder alone (Landlock).
"""

from __future__ import annotations

import ast
import ctypes
import gc
import io
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

import psutil

from lora_lessons.course import exercises
from lora_lessons.errors import memory_ran_out
from lora_lessons.files import scratch
from lora_lessons.models import embedded_place
from lora_lessons.paths import course_root, package

from . import together
from .cells import answer_of, from_above
from .notebooks import of_the_course
from .values import Lost, Wire, raised

RIGHT, WRONG, OPEN, RAISED, BY_HAND = "right", "wrong", "open", "raised", "by hand"
LATE, MEMORY, FAULT = "out of time", "out of memory", "not judged"
_OF_JUDGE = {"solved": RIGHT, "open": OPEN, "not yet": WRONG}
PROCESSES = 16  # that one answer may have at a time
GRACE = 10  # seconds that a check may take after its answer's time is over
LARGEST_FILE = 64_000_000
LINUX = sys.platform == "linux"
LIBC = ctypes.CDLL(None, use_errno=True)
_NAMESPACES = 0x10000000 | 0x20000000 | 0x40000000 | 0x08000000  # of users, processes, networks, shared memory
_PDEATHSIG, _DUMPABLE, _SUBREAPER, _NO_NEW_PRIVILEGES = 1, 4, 36, 38
_CREATE, _ADD, _RESTRICT = 444, 445, 446  # Landlock's system calls, on every architecture
_READ, _WRITE_FILE = 1 | 4 | 8, 2
SEEN = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/proc/cpuinfo", "/proc/meminfo", "/dev/urandom")


def main() -> None:
    """Say what holds here, then answer jobs until there are no more."""
    import torch

    from lora_lessons.lessons import all_exercises

    torch.set_num_threads(1)
    all_exercises()
    _have_at_hand(code for _, ours in of_the_course().values() for code in ours)
    gc.freeze()
    if LINUX:
        LIBC.prctl(_DUMPABLE, 0, 0, 0, 0)  # nobody writes into the memory of a process that knows a verdict
        LIBC.prctl(_SUBREAPER, 1, 0, 0, 0)  # what a student's process leaves behind comes here, and is ended
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    print(json.dumps(what_holds()), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(_answered(json.loads(line))), file=answers, flush=True)


def _have_at_hand(cells: Iterable[str]) -> None:
    """Import what the lessons import: a process of a student's has it from its first moment."""
    for node in {ast.dump(node): node for node in from_above(cells)}.values():
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            with suppress(Exception):  # what is not installed here is missed by those alone who use it
                exec(compile(ast.Module([node], []), "a lesson", "exec"), {})


def what_holds() -> dict[str, bool]:
    """What a student's code cannot reach on this machine."""
    read, write = os.pipe()
    if not (pid := os.fork()):
        os.write(write, b"1" if _away() else b"0")
        os._exit(0)
    os.waitpid(pid, 0)
    away, landlock = os.read(read, 1) == b"1", _landlock()
    os.close(read)
    os.close(write)
    return {"files": landlock > 0, "processes": away or landlock >= 6, "network": away or landlock >= 4}


def _answered(job: Mapping[str, Any]) -> dict[str, str]:
    """Run one job, and end whatever it started."""
    with scratch("marking") as box:
        read, write = os.pipe()
        if not (pid := os.fork()):
            os.close(read)
            try:
                _check(job, write, box)
            finally:
                os._exit(0)
        os.close(write)
        try:
            said, why = _watched(pid, read, job["seconds"])
        finally:
            os.close(read)
            _end_all()
    if why:
        most = f"{job['seconds']:g} seconds" if why == LATE else f"{PROCESSES} processes at a time"
        return {"result": why, "says": f"It took more than {most}."}
    with suppress(ValueError):
        answer: dict[str, str] = json.loads(said)
        return answer
    return {"result": FAULT, "says": "The check itself stopped: judge this one by hand, and report it."}


def _watched(pid: int, read: int, seconds: float) -> tuple[bytes, str]:
    """What the check's process says; and why it was stopped, if it was."""
    said, begun, why = b"", time.monotonic(), ""
    while (took := time.monotonic() - begun) < seconds + GRACE:
        if select.select([read], [], [], 0.1)[0]:
            if not (part := os.read(read, 1 << 16)):
                return said, why
            said += part
        elif not why:
            started = psutil.Process(pid).children(recursive=True)
            if why := LATE if took > seconds else RAISED if len(started) > PROCESSES else "":
                _kill(started)
    return said, LATE


def _kill(started: list[psutil.Process]) -> None:
    for one in started:
        with suppress(psutil.Error):
            one.kill()


def _end_all() -> None:
    """Kill every process that was started, also one that left its parent."""
    while started := psutil.Process().children(recursive=True):
        _kill(started)
        with suppress(ChildProcessError):
            os.waitpid(-1, 0)


def _check(job: Mapping[str, Any], write: int, box: Path) -> None:
    """The check's process: start the student's, judge what it says, and say the verdict."""
    os.setsid()
    _dies_with_its_parent()
    shares = job["id"] in together.TOGETHER
    if shares and (why := together.doubt(job)):
        os.write(write, json.dumps({"result": BY_HAND, "says": why}).encode())
        return
    ours, theirs = socket.socketpair()
    # asked here: where it is used, a process has another id
    addresses = psutil.Process().memory_info().vms + job["memory"]
    if not os.fork():
        try:
            _away()
            if not os.fork():
                _hold_in(theirs, box, job["seconds"], addresses)
                _student(job, shares)
            else:
                os.closerange(END, 1 << 16)
                os.wait()
        finally:
            os._exit(0)
    theirs.close()
    try:
        state, says = _verdict(job["id"], Wire(ours, writes=job["id"] in WRITES), shares)
    except Lost:
        state, says = RAISED, "It ended its process, or gave what cannot be read, so there was nothing to judge."
    os.write(write, json.dumps({"result": state, "says": says}).encode())


def _verdict(id: str, line: Wire, shares: bool) -> tuple[str, str]:
    first = line.receive()
    if "raised" in first:
        state, says = "not yet", f"{STOPPED} {first['raised']}: {first['said']}"
    elif shares:
        state, says = first["state"], first["says"]
    else:
        answer = (lambda *given, **named: line.call(0, *given, **named)) if first["calls"] else line.hear(first["is"])
        with redirect_stdout(io.StringIO()):
            state, says = exercises.judge(id, answer)
    if state == "not yet" and (memory_ran_out(RuntimeError(says)) or "MemoryError" in says):
        return MEMORY, says
    return RAISED if state == "not yet" and says.startswith(STOPPED) else _OF_JUDGE[state], says


WRITES = {"08.4", "12.9"}  # exercises whose checks look at what was written into their arguments
STOPPED = "Your code stopped with an error."
END = 3  # the student's end of the line, and no other file is open there


def _student(job: Mapping[str, Any], shares: bool) -> None:
    """The student's process: make the answer, and call it when it is asked for. Where the check needs a class or a
    model of the student's, it `shares` this process (see `together`)."""
    line = Wire(socket.socket(fileno=END))
    try:
        answer = answer_of(job)
    except BaseException as error:
        line.send(raised(error))
        return
    if shares:
        state, says = exercises.judge(job["id"], answer)
        line.send({"state": state, "says": says})
        return
    calls = callable(answer)
    line.send({"calls": calls, "is": None if calls else line.say(answer)})
    line.offers.insert(0, answer)
    line.serve()


def _dies_with_its_parent() -> None:
    if LINUX:
        LIBC.prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _away() -> bool:
    """Leave the machine's other processes and its network, where the system allows it; whether it does. The next
    process that this one starts sees itself and its children alone, and they all end with it."""
    return LINUX and LIBC.unshare(_NAMESPACES) == 0


def _hold_in(end: socket.socket, box: Path, seconds: float, addresses: int) -> None:
    """Limit this process, which is about to run a student's code, and leave it one open file: its end of the line."""
    os.setsid()
    _dies_with_its_parent()
    nothing = os.open(os.devnull, os.O_RDWR)
    for number, file in ((0, nothing), (1, nothing), (2, nothing), (END, end.detach())):
        os.dup2(file, number)
    os.closerange(END + 1, 1 << 16)
    sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
    sys.stderr = sys.stdout
    os.chdir(box)
    os.environ |= {"HOME": str(box), "TMPDIR": str(box)}
    tempfile.tempdir = None
    for limit, most in (
        (resource.RLIMIT_AS, addresses),
        (resource.RLIMIT_CPU, int(seconds) + 1),
        (resource.RLIMIT_FSIZE, LARGEST_FILE),
        (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    _restrict(box)


def _landlock() -> int:
    """The version of Landlock that the system has; 0 where there is none."""
    return max(0, LIBC.syscall(_CREATE, None, 0, 1)) if LINUX else 0


def _restrict(box: Path) -> None:
    """Let this process read Python and the course, write into `box`, and signal and call nobody outside."""
    if not (version := _landlock()):
        return
    every = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    asked = struct.pack("=QQQ", every, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    rules = LIBC.syscall(_CREATE, asked, 8 if version < 4 else 16 if version < 6 else 24, 0)
    tools = package().with_name("lora_tools")
    read = [sys.prefix, sys.base_prefix, package(), tools, course_root() / "data", embedded_place(), *SEEN]
    places: list[tuple[Any, int]] = [(box, every), (os.devnull, _READ | _WRITE_FILE), *((one, _READ) for one in read)]
    for place, rights in places:
        with suppress(FileNotFoundError):
            there = os.open(place, os.O_PATH)
            of_file = rights if os.path.isdir(place) else rights & ~8
            LIBC.syscall(_ADD, rules, 1, struct.pack("=Qi", of_file, there), 0)
            os.close(there)
    LIBC.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if rules < 0 or LIBC.syscall(_RESTRICT, rules, 0):
        raise OSError("Landlock refused")
    os.close(rules)


if __name__ == "__main__":
    main()
