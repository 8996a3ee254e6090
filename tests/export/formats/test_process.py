"""A worker is handed a job, shows progress and answers; without an answer it becomes a sentence."""

import pytest

from lora_lessons.errors import ModelError
from lora_lessons.export.formats import process


def test_a_worker_is_handed_the_job_shows_progress_and_answers(worker, capsys):
    worker("print('progress: half way'); print('noise'); json.dump({'twice': 2 * job['n']}, open(job['answer'], 'w'))")
    assert process.work("gguf-f16", {"n": 21}) == {"twice": 42}
    assert capsys.readouterr().err == "gguf-f16: half way …\n"


def test_a_long_job_says_how_far_the_tool_is(worker, capsys, monkeypatch):
    monkeypatch.setattr(process, "STILL_AT_WORK", 0.3)
    bars = "print('Layers:  10%|#   |\\rLayers:  40%|##  | 12/30', file=sys.stderr, flush=True)"
    worker(f"import time; {bars}; time.sleep(1.5); json.dump({{}}, open(job['answer'], 'w'))")
    process.work("gguf-f16", {})
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
        process.work("gguf-f16", {})
