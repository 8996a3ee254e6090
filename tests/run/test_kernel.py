"""Ctrl-C while a kernel starts: the lesson is interrupted, and no kernel is left that belongs to nobody."""

import os
import signal

import psutil
import pytest
from jupyter_client.provisioning import local_provisioner

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
    left = psutil.wait_procs(started, timeout=10)[1]
    for process in left:
        process.kill()
    assert len(started) == 1 and not left and not list(tmp_path.rglob("ran"))


def test_pressed_twice_it_does_not_wait():
    went_on = []
    with pytest.raises(KeyboardInterrupt), kernel.postponing_interrupts():
        signal.raise_signal(signal.SIGINT)
        went_on.append("once")
        signal.raise_signal(signal.SIGINT)
        went_on.append("twice")
    assert went_on == ["once"]
    with pytest.raises(KeyboardInterrupt), kernel.postponing_interrupts():
        signal.raise_signal(signal.SIGINT)
        went_on.append("to the end")
    assert went_on == ["once", "to the end"]
