"""A process that has loaded what the readers need, and forks for every input: a fork starts in milliseconds.

In the fork a reader has a box of its own: home, cache, working and temporary folder lie in it. What it writes
elsewhere, what it unpickles and whom it calls is noticed; so are its memory and its seconds.

python -m reliability.zygote FOLDER: orders come as lines of JSON on standard input, and each is answered by one.
"""

import fnmatch
import importlib
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from lora_lessons.errors import in_words
from reliability import judging
from reliability.broken_readers import BROKEN
from reliability.circumstances import CIRCUMSTANCES, ODD_FILES
from reliability.commands import COMMANDS
from reliability.judging import HANG, MEMORY, RIGHT, SENTENCE, SILENT, TRACEBACK, Outcome, Refused
from reliability.readers import READERS, Reader, slug

ALL = READERS | BROKEN
ROOMS = ("home", "cache", "tmp")
SPARE = 400_000_000  # bytes of addresses, for thread stacks and the allocator's habits


class Ended(NamedTuple):
    """How a fork ended: its reply, the signal that killed it, the largest memory it held, and its seconds (None:
    it was stopped)."""

    reply: Any
    signal: int
    peak: int
    seconds: float | None


class Fork:
    """`work` in a fork that may take `addresses` more bytes (0: any); what it prints goes to `log` and `log`.err."""

    def __init__(self, work: Callable[[], Any], log: Path, addresses: int = 0) -> None:
        self.reading, writing = os.pipe()
        self.begun = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self.reading)
                _begin(log, addresses)
                reply = json.dumps(work()).encode()
                sys.stdout.flush()
                sys.stderr.flush()
                with os.fdopen(writing, "wb") as out:
                    out.write(reply)
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
            finally:
                os._exit(0)
        os.close(writing)

    def end(self, limit: float) -> Ended:
        """Wait until it ends, and kill it when it has had `limit` seconds.

        The seconds in which it was ready to go on, and other processes had the processors, are not its own.
        """
        said, late = b"", False
        with os.fdopen(self.reading, "rb") as source:
            while (left := self.begun + limit + _waited(self.pid) - time.monotonic()) > 0:
                if select.select([source], [], [], left)[0]:
                    said += (part := os.read(source.fileno(), 1 << 16))
                    if not part:
                        break
            else:
                late = True
                os.kill(self.pid, signal.SIGKILL)
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and still says how long it waited
        seconds = None if late else time.monotonic() - self.begun - _waited(self.pid)
        _, status, usage = os.wait4(self.pid, 0)
        # what it started and left running, such as a server that has lost its parent
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        return Ended(json.loads(said) if said and not late else None, status & 0x7F, usage.ru_maxrss * 1024, seconds)


def _waited(pid: int) -> float:
    """Seconds that a process has waited for a processor, where the system tells."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def _begin(log: Path, addresses: int) -> None:
    os.setsid()
    write = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for number, file, how in ((0, os.devnull, os.O_RDONLY), (1, log, write), (2, f"{log}.err", write)):
        os.dup2(os.open(file, how, 0o644), number)
    if addresses:
        size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (size + addresses, size + addresses))


def said_in(log: Path) -> str:
    """What a fork printed, on both streams."""
    parts = [part for part in (log, Path(f"{log}.err")) if part.exists()]
    return "".join(part.read_text(errors="replace") for part in parts)


def learn(modules: Iterable[str]) -> None:
    """Load what a fork loaded, so that the next one has it."""
    for module in modules:
        # some names are put there by other means than an import
        with suppress(Exception):
            importlib.import_module(module)


def at_home_in(box: Path) -> None:
    """The process's home, cache, working and temporary folder become rooms of `box`."""
    for room in ROOMS:
        (box / room).mkdir(exist_ok=True)
    for name in [name for name in os.environ if name.startswith(("XDG_", "LORA_LESSONS_"))]:
        del os.environ[name]
    os.environ |= {
        "HOME": str(box / "home"),
        "TMPDIR": str(box / "tmp"),
        "LORA_LESSONS_CACHE": str(box / "cache"),
        "LORA_LESSONS_PROGRESS": str(box / "home" / "progress.json"),
    }
    if (box / "course").is_dir():
        os.environ["LORA_LESSONS_ROOT"] = str(box / "course")
    tempfile.tempdir = None
    sys.dont_write_bytecode = True
    os.chdir(box)


_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}


def watch(box: Path, noticed: list[str]) -> None:
    """From now on this process notes in `noticed` what it writes outside `box`, unpickles, and whom it calls."""
    inside = (str(box), "/dev/", "/proc/")

    def hook(event: str, given: tuple[Any, ...]) -> None:
        touched: list[str] = []
        if event == "open" and isinstance(given[0], str) and isinstance(given[2], int) and given[2] & _WRITES:
            touched = [given[0]]
        elif event in _CHANGES:
            touched = [one for one in given[:2] if isinstance(one, str)]
        elif event == "socket.connect" and isinstance(given[1], tuple):
            if not str(given[1][0]).startswith("127.") and given[1][0] not in ("localhost", "::1"):
                noticed.append(f"it called {given[1][0]}")
        elif event == "pickle.find_class" or (
            event == "socket.getaddrinfo" and given[0] not in ("localhost", "127.0.0.1", None)
        ):
            noticed.append(f"{event} {given[0]} {given[1]}")
        noticed.extend(f"it wrote {path}" for path in touched if not os.path.abspath(path).startswith(inside))

    sys.addaudithook(hook)


def tree(box: Path, but: tuple[str, ...] = ()) -> dict[str, str]:
    """Every file of `box` that does not match `but`, and a name for what it holds; empty folders, too."""
    found = {}
    for path in sorted(box.rglob("*")):
        name = path.relative_to(box).as_posix()
        if path.is_symlink() or any(fnmatch.fnmatch(name, pattern) for pattern in but):
            continue
        if path.is_file():
            found[name] = judging.digest(path.read_bytes())
        elif not any(path.iterdir()) and name not in ROOMS:
            found[f"{name}/"] = ""
    return found


def make(what: Any, box: Path, log: Path) -> None:
    """Fill a new `box` with what a reader or a command begins from. Raises RuntimeError when that goes wrong."""
    box.mkdir(parents=True)
    ended = Fork(lambda: (at_home_in(box), what.makes(box)) and True, log).end(120)
    if not ended.reply:
        raise RuntimeError(f"{what.name}: nothing to begin from could be made:\n{said_in(log)[-3000:]}")


class Boxes:
    """What a box begins from, and what is normal, for each reader or command that was asked for."""

    def __init__(self, place: Path) -> None:
        self.place, self.log = place, place / "said"
        self.normal: dict[str, dict[str, Any]] = {}

    def _begin(self, name: str) -> Path:
        return self.place / type(self).__name__ / slug(name)

    def _box(self, name: str) -> Path:
        """A new box, as the reader or the command found it before it ever ran."""
        box = self.place / "box"
        shutil.rmtree(box, ignore_errors=True)
        return Path(shutil.copytree(self._begin(name), box, symlinks=True))


class Readers(Boxes):
    """The readers that were prepared: each has a template of its box, its normal answer, memory and seconds."""

    def prepare(self, name: str) -> dict[str, Any]:
        """Make a valid input, load what reading it loads, and learn what is normal. Raises where it is refused."""
        if name in self.normal:
            return self.normal[name]
        box = self._begin(name)
        make(ALL[name], box, self.log)
        file = next(iter(sorted(box.glob(ALL[name].file)))).relative_to(box).as_posix()
        valid = (box / file).read_bytes()
        about = {"file": file, "answer": None, "peak": 1 << 40, "path": str(box / file)}
        self.normal[name] = about
        _, first = self._read(name, valid)
        learn(first.reply["modules"] if first.reply else ())
        outcome, ended = self._read(name, valid)
        if outcome.kind != RIGHT:
            del self.normal[name]
            raise RuntimeError(f"{name}: the valid input is not read ({outcome}): {said_in(self.log)[-3000:]}")
        about |= {"answer": ended.reply["answer"], "peak": ended.peak, "seconds": ended.seconds}
        return about

    def read(self, name: str, mutant: str) -> dict[str, Any]:
        """What comes of the file `mutant` in the place of the valid one."""
        outcome, ended = self._read(name, Path(mutant).read_bytes())
        return outcome._asdict() | {"seconds": ended.seconds}

    def odd_file(self, name: str, oddity: str) -> str | None:
        """What is said where the valid input is what can be no file to read; None: nothing, for a long time."""
        self.prepare(name)
        box = self._box(name)
        file = box / self.normal[name]["file"]
        reply: str | None = (
            Fork(lambda: _of_odd_file(ALL[name], box, file, oddity), self.log).end(judging.SECONDS).reply
        )
        return reply

    def _read(self, name: str, content: bytes) -> tuple[Outcome, Ended]:
        reader, about, box = ALL[name], self.normal[name], self._box(name)
        when = (box / about["file"]).stat()
        (box / about["file"]).write_bytes(content)
        os.utime(box / about["file"], ns=(when.st_atime_ns, when.st_mtime_ns))
        before = tree(box, reader.writes)
        spare = 0 if about["answer"] is None else about["peak"] + SPARE
        seconds = 120 if not spare else 5 if name.startswith(HANG) else judging.SECONDS  # of the broken ones, one hangs
        ended = Fork(lambda: _in_its_box(reader, box), self.log, spare).end(seconds)
        outcome = self._judged(reader, about, ended)
        after = tree(box, reader.writes)
        if outcome.kind in (RIGHT, SENTENCE) and before != after:
            changed = [path for path in before.keys() | after.keys() if before.get(path) != after.get(path)]
            outcome = Outcome(SILENT, f"it changed {', '.join(sorted(changed)[:3])}", "files")
        return outcome, ended

    def _judged(self, reader: Reader, about: dict[str, Any], ended: Ended) -> Outcome:
        if ended.seconds is None:
            return Outcome(HANG, f"it took over {judging.SECONDS} s", said_in(self.log)[-200:])
        if ended.reply is None:
            how = f"it died of signal {ended.signal}" if ended.signal else "it ended without a word"
            return Outcome(TRACEBACK, f"{how}: {said_in(self.log)[-400:]}", "a crash")
        outcome = Outcome(*ended.reply["outcome"])
        if ended.peak > 2 * about["peak"]:
            return Outcome(MEMORY, f"{ended.peak >> 20} MB, {about['peak'] >> 20} MB are normal", outcome.where)
        if ended.reply["noticed"] and outcome.kind in (RIGHT, SENTENCE):
            return Outcome(SILENT, ended.reply["noticed"][0], "elsewhere")
        if outcome.kind != RIGHT or about["answer"] in (None, ended.reply["answer"]):
            return outcome
        said = [line for line in said_in(self.log).splitlines() if not judging.not_a_sentence(line)]
        if said:
            return Outcome(SENTENCE, said[0][:300])
        return Outcome(SILENT, "another result without a word", "checked") if reader.checked else outcome


def _in_its_box(reader: Reader, box: Path) -> dict[str, Any]:
    """In the fork: read, and say what came of it."""
    before, noticed = set(sys.modules), list[str]()
    at_home_in(box)
    watch(box, noticed)
    answer = ""
    try:
        found = reader.read(box)
        said = reader.wrong(found)
        outcome, answer = Outcome(SILENT, said, "wrong") if said else Outcome(RIGHT), judging.digest(found)
    except BaseException as error:
        known, where = isinstance(error, reader.errors), judging.where_in_package(error)
        why = judging.not_a_sentence(str(error)) if known else type(error).__name__
        outcome = Outcome(TRACEBACK, f"{why}: {error}"[:600], where) if why else Outcome(SENTENCE, str(error)[:300])
        if isinstance(error, MemoryError):
            outcome = Outcome(MEMORY, "a MemoryError", where)
    modules = sorted(set(sys.modules) - before)
    return {"outcome": outcome, "answer": answer, "noticed": noticed, "modules": modules}


def _of_odd_file(reader: Reader, box: Path, file: Path, oddity: str) -> str:
    """In the fork: the sentence of the error that the reader ends with; "" where it ends well."""
    at_home_in(box)
    ODD_FILES[oddity](file, box)
    try:
        reader.read(box)
    except OSError as error:
        return in_words(error)
    except reader.errors as error:
        return str(error)
    return ""


class Commands(Boxes):
    """What is killed: each command has the result and the files of a run that was never stopped, and its seconds."""

    def whole(self, name: str) -> dict[str, Any]:
        """The command from the start to the end; and once before that, to load what it loads."""
        if name not in self.normal:
            make(COMMANDS[name], self._begin(name), self.log)
            learn(self._well(name, self._box(name))["modules"])
            box = self._box(name)
            well = self._well(name, box)
            self.normal[name] = {"result": well["result"], "files": _files(box), "seconds": well["seconds"]}
        return self.normal[name]

    def kill(self, name: str, moments: list[float]) -> dict[str, Any]:
        """Kill the command at `moments` (shares of its seconds), one after another in one box; then let it end.

        How many kills met it at work, whether the result is that of the whole run, and which files are more or less.
        """
        whole, box, met = self.whole(name), self._box(name), 0
        for number, moment in enumerate(moments):
            took = self._start(name, box).end(max(0.01, moment * whole["seconds"])).seconds
            met += took is None
            if took is not None and number == 0:  # the machine was busier when the whole run was timed
                whole["seconds"] = min(whole["seconds"], took)
        return {"met": met, **self._compared(self._start(name, box).end(120), whole), "files": self._differ(name, box)}

    def under(self, name: str, circumstance: str) -> dict[str, Any]:
        """The command in odd circumstances; where that gave no result, once more in ordinary ones:
        what came of either."""
        whole, box = self.whole(name), self._box(name)
        odd = self._compared(self._start(name, box, circumstance).end(120), whole)
        for path in [box, *box.rglob("*")]:
            if path.is_dir():
                path.chmod(0o755)
        again = odd if odd["same"] else self._compared(self._start(name, box).end(120), whole)
        # a HOME that was moved has the cache in it, so that only what is too much counts
        more = sorted(_files(box) - whole["files"])
        files = [file for file in more if not file.startswith("home/")]
        return {"odd": odd, "again": again, "files": files}

    def twice(self, name: str) -> dict[str, Any]:
        """Two of the same command at once in one box: what came of each."""
        whole, box = self.whole(name), self._box(name)
        forks = [self._start(name, box, log=str(n)) for n in (1, 2)]
        return {"both": [self._compared(fork.end(120), whole) for fork in forks], "files": self._differ(name, box)}

    def _start(self, name: str, box: Path, circumstance: str = "", log: str = "") -> Fork:
        return Fork(lambda: _in_circumstances(name, box, circumstance), Path(f"{self.log}{log}"))

    def _well(self, name: str, box: Path) -> dict[str, Any]:
        ended = self._start(name, box).end(300)
        if not ended.reply or ended.reply["said"] or ended.reply["error"]:
            raise RuntimeError(f"{name} does not end well: {ended.reply}\n{said_in(self.log)[-3000:]}")
        return dict(ended.reply) | {"seconds": ended.seconds}

    def _compared(self, ended: Ended, whole: dict[str, Any]) -> dict[str, Any]:
        stopped = {"result": "", "said": "", "error": f"stopped, or dead of signal {ended.signal}: {said_in(self.log)}"}
        reply = ended.reply or stopped
        return {"same": reply["result"] == whole["result"], "said": reply["said"], "error": reply["error"][-1500:]}

    def _differ(self, name: str, box: Path) -> list[str]:
        return sorted(_files(box) ^ self.normal[name]["files"])


def _files(box: Path) -> set[str]:
    """What lies in the box but for locks; the system clears its temporary folder itself."""
    return {name for name in tree(box, ("tmp/*",)) if not name.endswith(".lock")}


def _in_circumstances(name: str, box: Path, circumstance: str) -> dict[str, Any]:
    """In the fork: the command's result; else the sentence that it ended with,
    or the traceback that it should not have."""
    before = set(sys.modules)
    at_home_in(box)
    result = said = error = ""
    try:
        if circumstance:
            CIRCUMSTANCES[circumstance].put_on(box)
        result = judging.digest(COMMANDS[name].run(box))
    except (Refused, OSError, ValueError, RuntimeError) as failed:
        said = str(failed)
        if why := judging.not_a_sentence(said):
            error = f"{why}: {traceback.format_exc()}"
    except BaseException:
        error = traceback.format_exc()
    return {"result": result, "said": said, "error": error, "modules": sorted(set(sys.modules) - before)}


def main() -> None:
    """Answer orders until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    place = Path(sys.argv[1])
    readers, commands = Readers(place), Commands(place)
    orders: dict[str, Callable[..., Any]] = {
        "prepare": readers.prepare,
        "read": readers.read,
        "odd file": readers.odd_file,
        "whole": lambda name: {"seconds": commands.whole(name)["seconds"]},
        "kill": commands.kill,
        "under": commands.under,
        "twice": commands.twice,
    }
    for line in sys.stdin:
        order = json.loads(line)
        try:
            reply = {"reply": orders[order.pop("do")](**order)}
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(reply) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
