"""A kernel's sockets are its own; at Ctrl-C while it starts the lesson is interrupted, and no kernel is left alone."""

import os
import signal
from pathlib import Path

import psutil
import pytest
import zmq
from jupyter_client.provisioning import local_provisioner

from lora_lessons.interrupts import sigterm_is_ctrl_c
from lora_lessons.run import kernel, runner
from lora_lessons.run.result import INTERRUPTED

pytestmark = pytest.mark.usefixtures("usual_handler")


@pytest.mark.skipif(os.name == "nt", reason="Windows interrupts in another way")
def test_a_kernel_that_was_just_started_ends_with_the_run(make_lesson, tmp_path, monkeypatch):
    started, launch = [], local_provisioner.launch_kernel

    def interrupted(*args, **more):
        process = launch(*args, **more)
        started.append(psutil.Process(process.pid))
        os.kill(os.getpid(), signal.SIGINT)  # before anybody knows of the process
        return process

    monkeypatch.setattr(local_provisioner, "launch_kernel", interrupted)
    result = runner.run_one(make_lesson("00_a", "open('ran', 'w')"), {}, tmp_path)
    assert result.status == INTERRUPTED and result.error is None
    left = psutil.wait_procs(started, timeout=120)[1]
    for process in left:
        process.kill()
    assert len(started) == 1 and not left and not list(tmp_path.rglob("ran"))


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_asked_twice_it_does_not_wait(stop):
    went_on = []
    with sigterm_is_ctrl_c(), pytest.raises(KeyboardInterrupt), kernel.postponing_interrupts():
        signal.raise_signal(stop)
        went_on.append("once")
        signal.raise_signal(stop)
        went_on.append("twice")
    assert went_on == ["once"]
    with sigterm_is_ctrl_c(), pytest.raises(KeyboardInterrupt), kernel.postponing_interrupts():
        signal.raise_signal(stop)
        went_on.append("to the end")
    assert went_on == ["once", "to the end"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, "the handler is given back"


def test_sockets_lie_in_a_folder_for_one_user_that_goes_with_the_kernel():
    with kernel.private_sockets() as ours, kernel.private_sockets() as others:
        folder = Path(ours["ip"]).parent
        assert ours["transport"] == "ipc" and folder.stat().st_mode & 0o077 == 0
        assert ours["ip"] != others["ip"], "two kernels never meet"
        assert Path(ours["connection_file"]).parent == folder, (
            "what a kill leaves there goes when the next kernel starts"
        )
    assert not folder.exists()


def test_where_there_are_no_such_sockets_tcp_is_encrypted(monkeypatch, tmp_path):
    monkeypatch.setattr(zmq, "has", lambda feature: feature != "ipc")
    with kernel.private_sockets() as traits:
        assert traits == {"connection_file": traits["connection_file"], "transport_encryption": "auto"}
    monkeypatch.undo()
    (deep := tmp_path / ("deep" * 30)).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with kernel.private_sockets() as traits:
        assert "transport" not in traits, "the system allows no socket at so long an address"
