"""vLLM and SGLang are not installed where the tests run: a small server takes their place, and hears what they would."""

import sys
from pathlib import Path

import pytest
import torch

from lora_lessons.errors import ModelError
from lora_lessons.lessons.l16_many_adapters import serving

# It answers each prompt with the adapter that was asked for, and only whoever knows the token.
STAND_IN = """
import json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
port, token = int(sys.argv[1]), sys.argv[2]
class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        self.say(b"")
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != f"Bearer {token}":
            self.send_error(401)
        elif self.path == "/generate":
            rows = zip(body["text"], body["lora_path"], strict=True)
            self.say(json.dumps([{"text": f"{text} by {name}"} for text, name in rows]).encode())
        else:
            self.say(json.dumps({"choices": [{"text": f"{body['prompt']} by {body['model']}"}]}).encode())
    def say(self, content):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(content)
    def log_message(self, *_):
        pass
HTTPServer(("127.0.0.1", port), Answers).serve_forever()
"""
ADAPTERS = {"persona": Path("p"), "code_style": Path("c")}


@pytest.mark.parametrize(("name", "nobody"), [("vLLM", "base"), ("SGLang", "None")])
def test_each_row_names_its_adapter(name, nobody, monkeypatch):
    def stand_in(name, base, adapters, port, token, r):
        return [sys.executable, "-c", STAND_IN, str(port), token]

    monkeypatch.setattr(serving, "command", stand_in)
    with serving.running(name, Path("base"), ADAPTERS, 8) as server:
        assert server.answers(["a", "b", "c"], ["persona", None, "code_style"]) == [
            "a by persona",
            f"b by {nobody}",
            "c by code_style",
        ]
        server.token = "guessed"
        with pytest.raises(OSError, match="401"):
            server.answers(["a"], ["persona"])


def test_a_server_that_ends_says_its_last_words(monkeypatch):
    words = [sys.executable, "-c", "raise SystemExit('no card has room')"]
    monkeypatch.setattr(serving, "command", lambda *_: words)
    with pytest.raises(ModelError, match=r"\(no card has room\)"):
        serving.running("vLLM", Path("base"), ADAPTERS, 8).__enter__()


@pytest.mark.parametrize("name", serving.NAMES)
def test_the_command_is_on_loopback_with_its_token_and_takes_every_adapter(name):
    words = serving.command(name, Path("model"), ADAPTERS, 1234, "secret", 8)
    said = " ".join(words)
    assert "--host 127.0.0.1 --port 1234 --api-key secret --enable-lora" in said
    assert "persona=p code_style=c" in said
    assert ("--max-loras 2 --max-lora-rank 8" if name == "vLLM" else "--max-loras-per-batch 2") in said


@pytest.mark.parametrize("name", serving.NAMES)
def test_where_it_cannot_run_a_sentence_says_so(name, monkeypatch):
    assert serving.missing(name) == f"{name} is not installed here, so it did not run."
    monkeypatch.setattr(serving.importlib.util, "find_spec", lambda module: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "needs a card" in serving.missing(name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert serving.missing(name) == ""
