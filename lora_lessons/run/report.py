"""The report of a run: report.json for programs, report.html (one file, no network) for people."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..course.records import show_value
from ..files import write_text
from ..machine import machine, versions
from .baselines import band, inside

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from .result import LessonResult


def write_report(
    results: Sequence[LessonResult],
    out: Path,
    profile: str,
    parameters: Mapping[str, Any],
    planned: Sequence[str],
) -> None:
    """Write report.json and report.html into `out`, each whole or not at all. `planned` are all lessons of the run."""
    when = datetime.now().astimezone().isoformat(timespec="seconds")
    about = {
        "profile": profile, "parameters": dict(parameters), "machine": machine(), "date": when, "versions": versions(),
        "seconds": round(sum(result.seconds for result in results), 1),
        "not_run": [lesson for lesson in planned if lesson not in {result.lesson for result in results}],
    }  # fmt: skip
    whole = about | {"lessons": [_as_json(result) for result in results]}
    write_text(out / "report.json", json.dumps(whole, indent=1, ensure_ascii=False, default=str) + "\n")
    write_text(out / "report.html", as_html(results, about))


def _as_json(result: LessonResult) -> dict[str, Any]:
    return {
        "lesson": result.lesson, "status": result.status, "seconds": round(result.seconds, 2),
        "peak_ram_bytes": result.peak_ram_bytes, "cells": result.cells,
        "records": {name: asdict(record) for name, record in result.records.items()},
        "deviations": [deviation._asdict() for deviation in result.deviations],
        "error": result.error._asdict() if result.error else None,
    }  # fmt: skip


def as_html(results: Sequence[LessonResult], about: Mapping[str, Any]) -> str:
    """The report as one HTML document: everything in it is inline, and everything measured or printed is escaped."""
    from jinja2 import Environment

    pages = [
        {
            "result": result,
            "records": list(_record_rows(result)),
            "figures": list(figures(result.notebook)),
            "verdicts": list(verdicts(result.notebook)),
        }
        for result in results
    ]
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_TEMPLATE)
    return template.render(about=about, pages=pages, style=_STYLE, gb=lambda n: f"{n / 1e9:.2f} GB")


class Row(NamedTuple):
    """One record beside its band, in words."""

    name: str
    value: str
    unit: str
    band: str
    verdict: str  # "inside", "OUTSIDE" or why it is not judged


def _record_rows(result: LessonResult) -> Iterator[Row]:
    known = result.baseline["records"] if result.baseline else {}
    for name, record in result.records.items():
        value, entry = show_value(record.value), known.get(name)
        if record.volatile:
            yield Row(name, value, record.unit, "", "depends on the machine")
        elif entry is None:
            yield Row(name, value, record.unit, "", "no baseline")
        else:
            limits = band(entry)
            allowed = " … ".join(map(show_value, limits)) if limits else f"exactly {show_value(entry['expected'])}"
            yield Row(name, value, record.unit, allowed, "inside" if inside(record.value, entry) else "OUTSIDE")


class Picture(NamedTuple):
    """A figure: base64 of a PNG, and its summary in words."""

    png: str
    words: str


def figures(notebook: NotebookNode | None) -> Iterator[Picture]:
    """The PNG outputs of an executed notebook with the text summary that follows each."""
    for data in _displayed(notebook):
        if "image/png" in data:
            after = data["following"].get("text/markdown", "")
            summary = _joined(after).removeprefix("*In words:*").strip() if "*In words:*" in _joined(after) else ""
            yield Picture(re.sub(r"[^A-Za-z0-9+/=]", "", _joined(data["image/png"])), summary)


def verdicts(notebook: NotebookNode | None) -> Iterator[str]:
    """The text of the verdict cards of an executed notebook, without their markup."""
    for data in _displayed(notebook):
        card = _joined(data.get("text/html", ""))
        if "Verdict:" in card:
            yield " ".join(html.unescape(re.sub(r"<[^>]*>", " ", card.replace("<br>", " · "))).split())


def _displayed(notebook: NotebookNode | None) -> Iterator[dict[str, Any]]:
    """The MIME bundles shown, each with the next one of its cell as `following`."""
    for cell in notebook.cells if notebook else []:
        shown = [output.get("data", {}) for output in cell.get("outputs", [])]
        for bundle, following in zip(shown, [*shown[1:], {}], strict=False):
            yield {**bundle, "following": following}


def _joined(text: str | list[str]) -> str:
    return "".join(text)


_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;color:#1b1f23;background:#fff;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.7rem;margin-bottom:.2rem} h2{border-top:1px solid #d0d4d8;padding-top:1.2rem;margin-top:2.4rem}
table{border-collapse:collapse;margin:.8rem 0;font-variant-numeric:tabular-nums} caption{text-align:left;color:#4a5056}
th,td{padding:.25rem .8rem .25rem 0;border-bottom:1px solid #e4e6e8;text-align:left;vertical-align:top} td.n,th.n{text-align:right}
code,pre{font:.86em/1.45 ui-monospace,Consolas,monospace} pre{background:#f5f6f7;padding:.8rem;overflow:auto;white-space:pre-wrap}
figure{margin:1.2rem 0} img{max-width:100%;height:auto} figcaption,.quiet{color:#4a5056}
.verdict{border:1px solid #d0d4d8;border-left:6px solid #0072B2;padding:.4rem .9rem;margin:.5rem 0}
.bad{border:1px solid #d0d4d8;border-left:6px solid #D55E00;padding:.4rem .9rem;margin:.8rem 0} .bad p{margin:.3rem 0}
@media print{body{margin:0;max-width:none;font-size:11pt} h2{break-after:avoid} figure,.verdict,tr{break-inside:avoid}}
"""

_TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>LoRA Lessons: report</title><style>{{ style | safe }}</style></head><body>
<h1>LoRA Lessons: what ran here</h1>
<p class="quiet">{{ about.date }} · {{ about.machine }} · profile {{ about.profile }}
{%- for name, value in about.parameters.items() %} · {{ name }} = {{ value }}{% endfor %}
 · {{ "%.1f" | format(about.seconds) }} s in all<br>
{% for name, version in about.versions.items() %}{{ name }} {{ version }}{{ "" if loop.last else ", " }}{% endfor %}</p>
<table><tr><th>lesson</th><th>status</th><th class="n">seconds</th><th class="n">peak RAM</th><th class="n">code cells</th></tr>
{% for page in pages %}{% set r = page.result %}
<tr><td><a href="#{{ r.lesson }}">{{ r.lesson }}</a></td><td>{{ r.status }}</td><td class="n">{{ "%.1f" | format(r.seconds) }}</td>
<td class="n">{{ gb(r.peak_ram_bytes) }}</td><td class="n">{{ r.cells }}</td></tr>
{% endfor %}
{% for lesson in about.not_run %}
<tr><td>{{ lesson }}</td><td>not run</td><td></td><td></td><td></td></tr>
{% endfor %}
</table>
{% for page in pages %}{% set r = page.result %}
<section><h2 id="{{ r.lesson }}">{{ r.lesson }}: {{ r.status }}</h2>
{% if r.error %}
<div class="bad"><p><b>{{ r.lesson }} failed{% if r.error.cell %} in cell {{ r.error.cell }}{% else %} before its first cell{% endif %}.</b>
{% if r.error.first_line %}It begins <code>{{ r.error.first_line }}</code>.{% endif %}</p>
<p><b>{{ r.error.name }}</b>: {{ r.error.message }}</p></div>
{% if r.error.traceback %}<pre>{{ r.error.traceback }}</pre>{% endif %}
{% endif %}
{% if r.deviations %}
<div class="bad"><p><b>Not as in the baseline:</b></p>
{% for d in r.deviations %}<p>{{ "Note: " if d.warning else "" }}{{ d.sentence }}</p>{% endfor %}</div>
{% endif %}
{% for text in page.verdicts %}
<div class="verdict">{{ text }}</div>
{% endfor %}
{% for figure in page.figures %}
<figure><img alt="{{ figure.words }}" src="data:image/png;base64,{{ figure.png }}"><figcaption>{{ figure.words }}</figcaption></figure>
{% endfor %}
{% if page.records %}
<table><caption>What it measured{% if r.baseline %}, beside the baseline of {{ r.baseline.date }} ({{ r.baseline.machine }}){% endif %}</caption>
<tr><th>record</th><th class="n">value</th><th>unit</th><th>allowed</th><th>judged</th></tr>
{% for row in page.records %}
<tr><td><code>{{ row.name }}</code></td><td class="n">{{ row.value }}</td><td>{{ row.unit }}</td><td>{{ row.band }}</td><td>{{ row.verdict }}</td></tr>
{% endfor %}
</table>
{% endif %}
</section>
{% endfor %}
</body></html>
"""
