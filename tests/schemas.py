"""What --json prints, held against the schemas that the package carries."""

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from lora_lessons.outside import in_json
from lora_tools.cli.as_json import SCHEMAS


@cache
def validator(name: str) -> Draft202012Validator:
    """The validator of a command's schema."""
    return Draft202012Validator(json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8")))


def faults(name: str, document: Any) -> list[str]:
    """Where `document` is not what the schema of `name` says, and how: a line each."""
    return [f"{error.json_path}: {error.message[-300:]}" for error in validator(name).iter_errors(document)]


def held(name: str, answer: Any) -> Any:
    """`answer` itself, plain data of a command, which must be as the schema of `name` says."""
    assert faults(name, json.loads(in_json(answer))) == []
    return answer
