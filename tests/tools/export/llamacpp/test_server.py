"""llama.cpp's server: adapters swapped by scale, this machine alone, and nothing that outlives its block."""

import os
import socket
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest
from exporting import LIMIT, PROMPTS, peft_adapter, peft_logits, python_logits, worst

from lora_lessons import llamacpp
from lora_lessons.adapter import read_adapter
from lora_lessons.errors import ModelError
from lora_lessons.llamacpp import compute
from lora_tools.exporting import gguf


@pytest.fixture(scope="module")
def served(tiny, tmp_path_factory):
    """A tiny Qwen with two adapters on the server, and what PEFT says of each."""
    folder, model, tokenizer = tiny("qwen2")
    place, prompt = tmp_path_factory.mktemp("served"), tokenizer(PROMPTS[0])["input_ids"]
    files, expected = {}, {"none": python_logits(model, [prompt])[0]}
    for seed, name in enumerate(("one", "two")):
        saved = peft_adapter(model, place / name, seed=seed)
        files[name] = gguf.write_adapter(read_adapter(saved), folder, place / f"{name}.gguf")
        expected[name] = peft_logits(model, saved, [prompt])[0]
    expected["half of one"] = peft_logits(model, place / "one", [prompt], 0.5)[0]
    base = gguf.write_base(folder, place / "base.gguf", "f32")
    with llamacpp.serve(base, files, exact=True, context=256) as server:
        yield server, prompt, {name: logits.log_softmax(0) for name, logits in expected.items()}


def test_swapping_by_scale_equals_peft(served):
    server, prompt, expected = served
    asked = [
        ("one", {"one": 1.0}),
        ("two", {"two": 1.0}),
        ("none", {}),
        ("half of one", {"one": 0.5}),
        ("one", {"one": 1}),
    ]
    for name, scales in asked:
        found = server.next_logprobs(prompt, scales)
        assert worst(found, expected[name]) <= 2 * LIMIT, name
        assert server.set_scales(scales) == {"one": 0.0, "two": 0.0} | scales
        assert worst(server.next_logprobs(prompt), expected[name]) <= 2 * LIMIT, name
    assert worst(expected["one"], expected["two"]) > 0.5
    assert isinstance(server.chat("Hello", {"two": 1.0}, max_tokens=4), str)


def test_requests_that_are_worked_on_together_share_passes(tiny, tmp_path):
    """Four prompts of one request arrive together, however fast the machine; alone,
    each token takes a pass of its own."""
    folder, _, tokenizer = tiny("qwen2")
    prompt = tokenizer(PROMPTS[0])["input_ids"]
    base = gguf.write_base(folder, tmp_path / "base.gguf", "f32")
    body = {"n_predict": 16, "ignore_eos": True, "temperature": 0, "cache_prompt": False}
    with llamacpp.serve(base, context=128, parallel=4) as server:
        counts = [server.passes()]
        for prompts in (prompt, [prompt] * 4):
            server.ask("/completion", body | {"prompt": prompts})
            counts.append(server.passes())
    alone, together = counts[1] - counts[0], counts[2] - counts[1]
    assert alone == 16 and together < 2 * 16, "four times the tokens"


def test_the_server_answers_only_with_the_token_and_only_here(served):
    server, _, _ = served
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        for path in ("/lora-adapters", "/props", "/v1/models", "/slots", "/metrics"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(urllib.request.Request(server.url + path, headers=headers), timeout=20)
            assert refused.value.code == 401
    host, port = server.url.removeprefix("http://").split(":")
    assert host == "127.0.0.1"
    assert _listening() == {"127.0.0.1"}, "whatever llama.cpp opens"
    with socket.socket() as other:  # another address of this machine is not taken
        other.bind(("127.0.0.2", int(port)))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", int(port)), timeout=5)


def _listening():
    """The addresses at which the processes that this one started wait for others."""
    children = psutil.Process().children(recursive=True)
    return {c.laddr.ip for one in children for c in one.net_connections("inet") if c.status == psutil.CONN_LISTEN}


def test_a_server_ends_with_its_block_and_an_unknown_adapter_is_named(served, tiny, tmp_path):
    server, _, _ = served
    with pytest.raises(ValueError, match="no adapter 'three' was loaded: one, two"):
        server.set_scales({"three": 1.0})
    with llamacpp.serve(gguf.write_base(tiny("qwen2")[0], tmp_path / "base.gguf"), context=128) as short:
        url, rendered = short.url, short.render([{"role": "user", "content": "Hi"}])
    assert rendered.endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
    with pytest.raises(ModelError, match="does not answer"):
        short.scales()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=5)


def test_what_llama_cpp_cannot_load_is_a_sentence(tiny, tmp_path):
    (tmp_path / "text.gguf").write_text("no model")
    with pytest.raises(ModelError, match="no GGUF"):
        llamacpp.logits(tmp_path / "text.gguf", [[1]])
    with pytest.raises(FileNotFoundError, match="export it first"):
        llamacpp.logits(tmp_path / "none.gguf", [[1]])
    whole = gguf.write_base(tiny("qwen2")[0], tmp_path / "whole.gguf")
    (tmp_path / "half.gguf").write_bytes(whole.read_bytes()[:-100_000])
    for attempt in (lambda f: llamacpp.logits(f, [[1]]), lambda f: llamacpp.serve(f).__enter__()):
        with pytest.raises(ModelError, match="could not .*half.gguf"):
            attempt(tmp_path / "half.gguf")


def test_no_server_outlives_the_process_that_asked_for_it(tiny, tmp_path):
    base = gguf.write_base(tiny("qwen2")[0], tmp_path / "base.gguf")
    job = {"job": "serve", "base": str(base), "adapters": [], "token": "t", "exact": False, "context": 64}
    job |= {"parallel": 1, "threads": 1}
    with open(tmp_path / "chatter", "w+b") as chatter:
        worker = compute.start(job, chatter)
        assert worker.stdout.readline().startswith(b"http://127.0.0.1:")
        worker.stdin.close()  # what the end of a process does to its pipes
        assert worker.wait(timeout=300) == 0
        worker.stdout.close()


def test_the_worker_is_the_one_beside_this_package():
    """Whatever else is installed: the first folder on its path holds this very lora_lessons."""
    first = Path(compute.python_path().split(os.pathsep)[0])
    worker = first.joinpath(*compute.WORKER.split(".")).with_suffix(".py")
    assert worker.samefile(Path(compute.__file__).with_name("worker.py"))
