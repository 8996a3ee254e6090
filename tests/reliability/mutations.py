"""Valid files made wrong, by what they are made of: values in JSON, headers, fields of a GGUF, cells, words, bytes.

Every strategy starts from the bytes of a valid file, so that most of what comes out is nearly right: that is what
readers stumble over. hypothesis draws, and the same seed draws the same.
"""

import csv
import io
import json
import re
import struct
import tempfile
from collections.abc import Callable
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import gguf
from hostile import PAGE, TERMINAL
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

DEEP = "@nested too deep@"
ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 3, 7, 255, 2**31, 2**63, 2**64, 10**30, -(2**63)),
    *(0.5, -0.0, 1e-320, 1e308, -1e308, float("nan"), float("inf")),
    *("", " ", "0", "²", "NaN", "x" * 5000, "\ud800", "a\u2028b", "\x00", "../../..", "/no/such/place", "owner/name"),
    *(PAGE, TERMINAL),
    *("fp64", "PISSA", "{% include 'x' %}", "é", "🙂", "True", "1e400"),
    *([], {}, [[]], [None], {"": None}, [0] * 200, DEEP),
]
odd = st.sampled_from(ODD) | st.integers() | st.floats() | st.text(max_size=8) | st.lists(st.integers(), max_size=3)


# ---- bytes ----


@st.composite
def bytes_of_any_file(draw: DrawFn, valid: bytes) -> bytes:
    """A byte or a few changed, cut out, put in or doubled; the file cut short, in another encoding, or empty."""
    at = draw(st.integers(0, max(len(valid) - 1, 0)))
    size = draw(st.sampled_from([1, 1, 2, 8, 64, 1000]))
    some = draw(st.binary(min_size=1, max_size=8))
    head, tail = valid[:at], valid[at:]
    flipped = head + bytes([valid[at] ^ (1 << size % 8)]) + tail[1:] if valid else some
    changed = [flipped, flipped, *[head + some + tail[len(some) :]] * 2, head + some + tail, head + tail[size:]]
    changed += [valid[: at + size] + tail, head, tail, b"\xef\xbb\xbf" + valid, head + b"\0" + tail, valid + some, b""]
    changed += [valid.decode("utf-8", "replace").encode("utf-16"), head + bytes(len(tail))]
    return draw(st.sampled_from(changed))


def mostly(
    shaped: Callable[..., SearchStrategy[bytes]],
) -> Callable[[bytes], SearchStrategy[bytes]]:
    """Three in four mutants know what the file is made of; the fourth only knows bytes."""

    def either(valid: bytes) -> SearchStrategy[bytes]:
        return st.integers(0, 3).flatmap(lambda n: shaped(valid) if n else bytes_of_any_file(valid))

    return either


# ---- JSON ----


def _instead_of(value: Any) -> SearchStrategy[Any]:
    """Something odd in the place of `value`: of another type, of another size, or a little different."""
    near: list[Any] = [[value], {"value": value}, str(value)]
    if isinstance(value, bool):
        near += [not value, int(value)]
    elif isinstance(value, (int, float)):
        near += [value + 1, value - 1, -value, value * 2, value * 10**6, value / 3, float(value)]
    elif isinstance(value, str):
        near += [value[:-1], value + "x", value.upper(), value * 2, value[::-1], list(value[:3])]
    return st.sampled_from(near) | odd


@st.composite
def edited(draw: DrawFn, tree: Any, instead: Callable[[Any], SearchStrategy[Any]] = _instead_of) -> Any:
    """`tree` with one value replaced, taken out, renamed, wrapped or put in another's place, at any depth."""
    if not isinstance(tree, (dict, list)) or not tree or (instead is _instead_of and draw(st.integers(0, 6)) == 0):
        return draw(instead(tree))
    keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
    key = draw(st.sampled_from(keys))
    how = draw(st.sampled_from(["into"] * 6 + ["odd"] * 3 + ["out", "again", "other", "rename"]))
    made = dict(tree) if isinstance(tree, dict) else list(tree)
    if how == "out":
        del made[key]
    elif how == "again" and isinstance(made, list):
        made.insert(key, made[key])
    elif how == "other":
        made[key] = tree[draw(st.sampled_from(keys))]
    elif how == "rename" and isinstance(made, dict):
        made[draw(st.text(max_size=5) | st.sampled_from([str(key) + "x", str(key).upper(), ""]))] = made.pop(key)
    elif how == "odd":
        made[key] = draw(instead(tree[key]))
    else:
        made[key] = draw(edited(tree[key], instead))
    return made


@st.composite
def in_parts(draw: DrawFn, parts: list[Any], pieces: Any, times: tuple[int, ...] = (1, 1, 1, 2, 3)) -> list[Any]:
    """A list, a few of whose parts are replaced, taken out, doubled or moved, or are among `pieces`."""
    made = list(parts)
    for _ in range(draw(st.sampled_from(times))):
        put = draw(st.integers(0, 2)) == 0
        at = draw(st.integers(0, len(made)))
        new = [*made[:at], draw(pieces(None)), *made[at:]] if put else draw(edited(made, pieces))
        made = new if isinstance(new, list) else [new]
    return made


def as_json(tree: Any, **how: Any) -> bytes:
    """`tree` as JSON, with what Python's own writer allows: NaN, half characters,
    and DEEP as a hundred thousand lists."""
    text = json.dumps(tree, default=str, **how)
    deep = "[" * 100_000 + "]" * 100_000
    return text.replace(json.dumps(DEEP), deep, 1).encode("utf-8", "surrogatepass")


@mostly
@st.composite
def json_file(draw: DrawFn, valid: bytes) -> bytes:
    tree = json.loads(valid)
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        tree = draw(edited(tree))
    made = as_json(tree, ensure_ascii=draw(st.booleans()))
    if isinstance(tree, dict) and tree and draw(st.integers(0, 9)) == 0:  # a name that stands twice
        again = as_json({draw(st.sampled_from(list(tree))): draw(odd)})
        made = made[:-1] + b", " + again[1:]
    return made


@mostly
@st.composite
def notebook_file(draw: DrawFn, valid: bytes) -> bytes:
    """A notebook: most edits are in its cells, and half of those in what a cell has shown."""
    tree = json.loads(valid)
    for _ in range(draw(st.sampled_from([1, 1, 2]))):
        where = draw(st.sampled_from(["anywhere", "cells", "outputs", "outputs"]))
        held = tree.get("cells") if isinstance(tree, dict) else None  # an earlier edit may have put anything there
        cells = [cell for cell in held if isinstance(cell, dict)] if isinstance(held, list) else []
        shown = [cell for cell in cells if cell.get("outputs")]
        if where == "anywhere" or not cells:
            tree = draw(edited(tree))
        elif where == "cells" or not shown:
            cell = draw(st.sampled_from(cells))
            tree["cells"] = [draw(edited(one)) if one is cell else one for one in tree["cells"]]
        else:
            cell = draw(st.sampled_from(shown))
            cell["outputs"] = draw(edited(cell["outputs"]))
    return as_json(tree, indent=1, ensure_ascii=draw(st.booleans()))


@mostly
@st.composite
def jsonl_file(draw: DrawFn, valid: bytes) -> bytes:
    """Lines of JSON: a line edited, doubled, taken out, moved, very long, or in another encoding;
    other ends of lines."""
    lines = valid.split(b"\n")
    at = draw(st.integers(0, len(lines) - 1))
    line, half = lines[at], len(lines[at]) // 2
    changed = [[as_json(draw(edited(json.loads(line or b"{}"))), ensure_ascii=draw(st.booleans()))]] * 6
    changed += [[line, line], [], [line[:half], line[half:]], [as_json(draw(odd))]]
    changed += [[line.decode().replace("e", "é").encode("cp1252", "replace")]]
    changed += [[line.decode().replace(" ", "\u2028").encode()]]
    changed += [[as_json({"messages": [{"role": "user", "content": "x" * 1_000_001}]})]]
    changed += [[line, draw(st.sampled_from([b"", b" ", b"\t", b"\r", b"\xef\xbb\xbf"]))]]
    lines[at : at + 1] = draw(st.sampled_from(changed))
    return draw(st.sampled_from([b"\n"] * 6 + [b"\r\n", b"\r", b"\n\n", b""])).join(lines)


# ---- tables ----


@mostly
@st.composite
def csv_file(draw: DrawFn, valid: bytes) -> bytes:
    """Rows of cells: a cell replaced, a row or a cell doubled, moved or taken out, other separators."""
    rows = draw(in_parts(list(csv.reader(io.StringIO(valid.decode()))), _instead_of, (1, 1, 2)))
    out = io.StringIO()
    table = csv.writer(out, delimiter=draw(st.sampled_from([","] * 8 + [";", "\t"])), lineterminator="\n")
    table.writerows(
        [str(cell).replace(DEEP, "deep") for cell in (row if isinstance(row, list) else [row])] for row in rows
    )
    return out.getvalue().encode("utf-8", "surrogatepass")


# ---- safetensors: eight bytes for the header's length, the header as JSON, the numbers ----


@mostly
@st.composite
def safetensors_file(draw: DrawFn, valid: bytes) -> bytes:
    length = int.from_bytes(valid[:8], "little")
    header, numbers = json.loads(valid[8 : 8 + length]), valid[8 + length :]
    how = draw(
        st.sampled_from(
            ["header", "header", "header", "entry", "entry", "metadata", "numbers", "numbers", "nan", "length"]
        )
    )
    if how == "header":
        header = draw(edited(header))
    elif how in ("entry", "metadata"):
        names = [name for name in header if (name == "__metadata__") == (how == "metadata")] or list(header)
        name = draw(st.sampled_from(names))
        header[name] = draw(edited(header[name]))
    elif how == "numbers":
        numbers = draw(bytes_of_any_file(numbers))
    elif how == "nan" and numbers:
        at = 4 * draw(st.integers(0, max(len(numbers) // 4 - 1, 0)))
        special = draw(st.sampled_from([float("nan"), float("inf"), 1e38, -0.0]))
        numbers = numbers[:at] + struct.pack("<f", special) + numbers[at + 4 :]
    text = as_json(header)
    said = len(text)
    if how == "length":
        said = draw(st.sampled_from([0, 1, said - 1, said + 1, 2**31, 2**63, 2**64 - 1, 100_000_001]))
    return said.to_bytes(8, "little") + text + numbers


# ---- GGUF ----


@cache
def gguf_fields(data: bytes) -> list[tuple[int, int]]:
    """Where each number and each text of a GGUF's head lies: counts, keys, types, values, names, sizes, offsets;
    of a long list its first ones."""
    with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
        Path(file.name).write_bytes(data)
        read = gguf.GGUFReader(file.name)
    found = [(0, 4)]
    for field in [*read.fields.values(), *(tensor.field for tensor in read.tensors)]:
        ends = [*accumulate((part.nbytes for part in field.parts[:12]), initial=field.offset)]
        found += [(start, end - start) for start, end in pairwise(ends)]
    return found


@mostly
@st.composite
def gguf_file(draw: DrawFn, valid: bytes) -> bytes:
    fields = gguf_fields(valid)
    made = valid
    for _ in range(draw(st.sampled_from([1, 1, 1, 2]))):
        start, size = draw(st.sampled_from(fields))
        was = int.from_bytes(valid[start : start + size], "little")
        least, most = 0, 256**size - 1
        close = [least, most, most // 2, most // 2 + 1, min(was + 1, most), max(was - 1, 0), min(was * 2, most), 1, 12]
        how = draw(st.sampled_from(["number"] * 5 + ["bytes", "bytes", "out"]))
        if how == "number":
            new = (draw(st.sampled_from(close)) % (most + 1)).to_bytes(size, "little")
        elif how == "bytes":
            new = (draw(st.binary(min_size=size, max_size=size)) if size < 64 else bytes(size))[:size]
        else:
            new = b""
        made = made[:start] + new + made[start + size :] if len(made) == len(valid) else made
    return made


# ---- text: templates and Modelfiles ----

GO = (
    "{{ range .Messages }}",
    "{{ end }}",
    "{{ else }}",
    '{{ if eq .Role "user" }}',
    "{{ .Content }}",
    "{{ $x := 1 }}",
    "{{ $.System }}",
    "{{ index .Messages 99 }}",
    "{{ slice .Messages -1 }}",
    "{{ len . }}",
    "{{ . }}",
    "{{",
    "}}",
    "{{- ",
    "{{/* x */}}",
    "{{ eq 1 }}",
    "{{ not }}",
    "{{ lt .Role 1 }}",
    '{{ "\\x" }}',
    "{{ 99999999999999999999 }}",
    "{{ range .Messages }}" * 12 + "x" + "{{ end }}" * 12,
    "{{ range .Messages }}" * 1200 + "{{ end }}" * 1200,
    "{{ " + "(" * 3000 + ")" * 3000 + " }}",
    "{{ range $.Messages }}" * 30 + "x" + "{{ end }}" * 30,
)
JINJA = (
    "{% for m in messages %}",
    "{% endfor %}",
    "{{ m.content }}",
    "{% if x %}",
    "{% endif %}",
    "{{ nothing }}",
    "{{ nothing.at.all }}",
    "{{ raise_exception('no') }}",
    "{{ 1 // 0 }}",
    "{{ 'a' * 3000000000 }}",
    "{{ [0] * 3000000000 }}",
    "{% include 'x' %}",
    "{% import 'x' as y %}",
    "{% extends 'x' %}",
    "{{ ''.__class__.__mro__ }}",
    "{{ messages[99] }}",
    "{{ 9 ** 9 ** 9 }}",
    "{{ range(10 ** 12) | list }}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{{ a }}{% endfor %}{% endfor %}",
    "{{ 'x'.center(3000000000) }}",
    "{{ '%3000000000d' % 1 }}",
    "{% set x = namespace(a=1) %}{{ x }}",
    "{{ messages | tojson }}",
    "{{ 'x' | unknown }}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{{ " + "(" * 2000 + "1" + ")" * 2000 + " }}",
    "{{",
    "%}",
    "{#",
    "{% raw %}",
)
RECIPE = (
    'FROM "x',
    "FROM",
    "ADAPTER ./adapter.gguf\n",
    'SYSTEM """',
    "PARAMETER stop",
    "PARAMETER temperature hot\n",
    "PARAMETER num_ctx 1e9\n",
    "MESSAGE wizard hello\n",
    "TEMPLATE {{ .Prompt }}\n",
    "LICENSE x\n",
    "\r",
    "# FROM\n",
    "\x00",
    "from ./base.gguf\n",
    "²\n",
)


def text_file(pieces: tuple[str, ...], cut: str) -> Callable[[bytes], SearchStrategy[bytes]]:
    """Texts whose parts, which the pattern `cut` finds, are moved, doubled, taken out, edited,
    or set among `pieces`."""

    def instead(part: str | None) -> SearchStrategy[str]:
        words = re.split(r"(\W+)", part or "")
        word = st.tuples(st.integers(0, len(words) - 1), st.text(max_size=4) | st.sampled_from(pieces[:8]))
        near = word.map(lambda one: "".join([*words[: one[0]], one[1], *words[one[0] + 1 :]]))
        return st.sampled_from(pieces) | near | st.sampled_from([(part or "x") * 50]) | st.text(max_size=40)

    @mostly
    @st.composite
    def text(draw: DrawFn, valid: bytes) -> bytes:
        parts = [part for part in re.split(f"({cut})", valid.decode(), flags=re.S) if part]
        return "".join(draw(in_parts(parts, instead))).encode("utf-8", "surrogatepass")

    return text


# ---- command lines ----

# Lines that are right, from which the wrong ones are made; nothing of them does more than read its words (see readers).
COMMANDS = """
run 03 --profile quick -p steps 12 -p seed 1 --out report
run 00 03 --update-baselines --seeds 3 --update-notebooks
run --profile full
lab 03 -- --no-browser --ip 0.0.0.0
plan Llama-2-7B --gpu 24 --method qlora --r 16 --seq 1024 --batch-size 2 --optimizer adamw_8bit --json
plan Qwen2.5-7B --gpu RTX4090 --targets q_proj,v_proj --no-gradient-checkpointing --recipe hf --loss chunked
sweep --r 1,2,4 --alpha 2x,16 --lr 4e-3,1e-3 --method lora,dora --seeds 2 --steps 24 --batch-size 4 --out sweep
sweep --r 8 --seed 7 --base nf4 --targets all-linear --resume --keep-adapters
check train.jsonl --base base --held-out text.txt --max-tokens 64 --json
bench memory --model Qwen2.5-7B --out found.json --json
bench train --model base --precision nf4
adapters persona code_style --out adapters --seed 1
inspect adapter --base base --json
export gguf adapter --out out --base base --types f16,q8_0,Q4_K_M --merged --overwrite
export ollama adapter --out out --system Hello --template template.txt --type f16 --create me
export formats adapter --out out --base base --formats gguf,awq --calibrate text.txt --record
doctor --json
claims
badges https://github.com/owner/name
readme
new-lesson 15_name Why?
--version
""".strip().splitlines()
WORDS = (
    *(
        "",
        " ",
        "-",
        "--",
        "---",
        "--help",
        "-h",
        "²",
        "0",
        "-1",
        "99999",
        "99999999999",
        "1e308",
        "nan",
        "1,,2",
        ",",
        "x",
    ),
    *(
        "Q9_Z",
        "f16,f16",
        "''",
        "../..",
        "/",
        "~",
        "afile",
        "a b",
        "é",
        "\x00",
        "\ud800",
        "embedded",
        "None",
        "=",
        "--r=",
    ),
    *(
        "notebooks/03_tiny.ipynb",
        "03_tiny",
        "deeper/",
        "deeper/03",
        "x" * 5000,
        "--out",
        "--base",
        "-p",
        "--seeds",
        "--json",
    ),
)


@st.composite
def command_line(draw: DrawFn, valid: bytes) -> bytes:
    """A command line, as JSON's list of words: one that is right, with words changed, moved, doubled and taken out."""
    right = draw(st.sampled_from(COMMANDS)).split(" ")
    other = st.sampled_from(WORDS) | st.text(max_size=5)
    words = draw(in_parts(right, lambda word: other if word is None else other | _instead_of(word)))
    return json.dumps([str(word) for word in words]).encode()


KINDS: dict[str, Callable[[bytes], SearchStrategy[bytes]]] = {
    "bytes": bytes_of_any_file,
    "JSON": json_file,
    "JSON lines": jsonl_file,
    "notebook": notebook_file,
    "CSV": csv_file,
    "safetensors": safetensors_file,
    "GGUF": gguf_file,
    "Go template": text_file(GO, r"\{\{.*?\}\}"),
    "Jinja template": text_file(JINJA, r"\{[{%].*?[%}]\}"),
    "Modelfile": text_file(RECIPE, r"\n"),
    "text": text_file(("\x00", "\ud800", "x" * 5000, "\n\n", "\u2028", "é"), r"\s+"),
    "words": command_line,
}
