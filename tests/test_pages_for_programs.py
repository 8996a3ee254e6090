"""The pages that programs and their authors follow: every block runs as it stands, in order,
on a tiny base for the embedded one."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from peft_zoo import base_folder as base_folder
from schemas import faults

from lora_lessons.paths import course_root
from lora_tools import cli
from lora_tools.cli.as_json import SCHEMAS

DOCS = course_root() / "docs"
DOCUMENTS = {
    "for-agents": ("doctor", "plan", "check", "run", "inspect", "symptom", "export"),
    "from-a-script": ("plan",),
}


@pytest.mark.long
@pytest.mark.parametrize("page", DOCUMENTS)
def test_every_block_of_the_page_runs_and_its_documents_are_as_their_schemas_say(page, base_folder, tmp_path):
    shim = tmp_path / "bin" / "lora-lessons"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m lora_tools.cli "$@"\n')
    shim.chmod(0o755)
    shutil.copy(course_root() / "data" / "own" / "helpdesk.jsonl", tmp_path / "my.jsonl")
    path = os.pathsep.join([str(shim.parent), os.path.dirname(sys.executable), os.environ["PATH"]])
    blocks = re.findall(r"```(bash|python)\n(.*?)```", (DOCS / f"{page}.md").read_text(encoding="utf-8"), re.S)
    assert len(blocks) >= 3
    for kind, block in blocks:
        command = ["bash", "-e", "-c"] if kind == "bash" else [sys.executable, "-c"]
        block = re.sub(r"\bembedded\b", str(base_folder), block)
        done = subprocess.run(
            [*command, block], cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"PATH": path}
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    for name in DOCUMENTS[page]:
        assert faults(name, json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))) == []
    if page == "for-agents":
        (lesson,) = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))["lessons"]
        assert f"Your adapter: {tmp_path / 'my-adapter'}" in lesson["handed_over"]
        assert {"loss.base", "loss.adapter", "gain.low"} <= lesson["records"].keys()


def keys_in(schema):
    """Every key and every named value of a JSON Schema."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        yield from map(str, schema.get("enum", ()))
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from keys_in(part)


@pytest.mark.parametrize("page", DOCUMENTS)
def test_what_the_page_calls_a_key_or_a_command_is_one(page):
    text = re.sub(r"```.*?```", "", (DOCS / f"{page}.md").read_text(encoding="utf-8"), flags=re.S)
    verbs = {verb.__name__ for verb in (cli.run, *cli.VERBS)} | {"export", "cluster"}
    assert set(re.findall(r"`lora-lessons (\w+)", text)) <= verbs
    known = {key for file in SCHEMAS.glob("*.json") for key in keys_in(json.loads(file.read_text(encoding="utf-8")))}
    # codes of check's, a base, a word of JSON, a program
    others = {"personal_data", "common_answer", "one_answer", "leak", "near_leak", "embedded", "null", "make"}
    assert set(re.findall(r"`([a-z_]+)`", text)) - known - verbs - others == set()
