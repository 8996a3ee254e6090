"""A worker is handed a job, shows progress and answers; without an answer it becomes a sentence."""

import pytest

from lora_lessons.errors import ModelError
from lora_tools.exporting.formats import environments


def test_a_worker_is_handed_the_job_shows_progress_and_answers(worker, capsys):
    worker("print('progress: half way'); print('noise'); json.dump({'twice': 2 * job['n']}, open(job['answer'], 'w'))")
    assert environments.work("gguf-f16", {"n": 21}) == {"twice": 42}
    assert capsys.readouterr().err == "gguf-f16: half way …\n"


def test_a_long_job_says_how_far_the_tool_is(worker, capsys, monkeypatch, tmp_path):
    """The tool stays at its bar until that was said, or for a minute."""
    heard, say = tmp_path / "heard", environments.say

    def hear(line):
        say(line)
        if "40%" in line:
            heard.touch()

    monkeypatch.setattr(environments, "STILL_AT_WORK", 0.3)
    monkeypatch.setattr(environments, "say", hear)
    bars = "print('Layers:  10%|#   |\\rLayers:  40%|##  | 12/30', file=sys.stderr, flush=True)"
    stays = f"for _ in range(1200):\n    os.path.exists({str(heard)!r}) or time.sleep(0.05)"
    worker(f"import time; {bars}\n{stays}\njson.dump({{}}, open(job['answer'], 'w'))")
    environments.work("gguf-f16", {})
    assert "gguf-f16: Layers:  40%, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise ValueError('no kernel here')", "ValueError: no kernel here"),
        ("pass", "no message"),
        ("os.kill(os.getpid(), 9)", "killed, probably for the memory"),
        ("json.dump({}, open(job['answer'], 'w')); sys.exit('changed its mind')", "changed its mind"),
    ],
)
def test_a_worker_without_an_answer_becomes_a_sentence(worker, code, said):
    worker(code)
    with pytest.raises(ModelError, match=said):
        environments.work("gguf-f16", {})
