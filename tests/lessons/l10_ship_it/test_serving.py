"""Lesson 10's questions to a server: a stranger is refused, and a swap that went wrong is seen."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pytest
import torch

from lora_lessons.lessons.l10_ship_it import serving


@pytest.fixture
def answering():
    """A function that starts a server which answers everyone with one status; its address."""
    servers = []

    def start(status):
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_):
                pass

        servers.append(HTTPServer(("127.0.0.1", 0), Answer))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("status, refused", [(401, True), (200, False), (500, False)])
def test_only_a_401_is_a_refusal(answering, status, refused):
    assert serving.refuses_strangers(answering(status)) is refused


class Model:
    """Logits that depend on the adapter that is on; keeps which ones were."""

    def __init__(self):
        self.on = []

    def set_adapter(self, name):
        self.on.append(name)

    def __call__(self, ids):
        logits = torch.arange(8.0) * {"default": 0.1, "two": 0.3}[self.on[-1]]
        return SimpleNamespace(logits=logits.expand(1, ids.shape[1], 8))


class Server:
    """A server that says what the model would; with `stuck` it never swaps."""

    def __init__(self, stuck=False):
        self.stuck, self.scales = stuck, []

    def set_scales(self, scales):
        self.scales.append(scales)

    def next_logprobs(self, prompt):
        (name,) = self.scales[0 if self.stuck else -1]
        return (torch.arange(8.0) * {"one": 0.1, "two": 0.3}[name]).log_softmax(0)


def test_all_adapters_are_swapped_in_and_the_first_one_back():
    server, model = Server(), Model()
    assert serving.swap_gap(server, model, {"one": "default", "two": "two"}, [1, 2, 3]) < 1e-6
    assert server.scales == [{"one": 1.0}, {"two": 1.0}, {"one": 1.0}] and model.on == ["default", "two", "default"]


def test_a_server_that_does_not_swap_is_seen():
    assert serving.swap_gap(Server(stuck=True), Model(), {"one": "default", "two": "two"}, [1]) > 0.1
