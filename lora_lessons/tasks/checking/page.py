"""The report as one HTML page that needs nothing else."""

from __future__ import annotations

from ...outside import in_attribute, in_html
from .problems import SEVERITIES
from .rendering import CLOSE, OPEN, STYLE, for_page
from .report import HEADINGS, HIDDEN, DataReport, counts, place, sentence

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{title}</title><style>
body{{font:16px/1.5 system-ui,sans-serif;color:#1b1f23;background:#fff;max-width:60rem;margin:2rem auto;padding:0 1rem;overflow-wrap:break-word}}
h1{{font-size:1.7rem}} h2{{border-top:1px solid #d0d4d8;padding-top:1rem;margin-top:2rem;font-size:1.25rem}}
li{{margin:.5rem 0}} code,pre{{font:.9em/1.5 ui-monospace,Consolas,monospace}} .place{{color:#4a5056}}
pre{{background:#f5f6f7;padding:.8rem;white-space:pre-wrap;overflow-wrap:anywhere}} {style}
</style></head><body><main>
<h1>{heading}</h1>
{body}
</main></body></html>
"""


def as_page(report: DataReport) -> str:
    """`report` as HTML. What is learned is marked by brackets and a line under it as well as by colour."""
    body = [f"<p>{in_html(said)}</p>" for said in counts(report)]
    for severity in SEVERITIES:
        if found := report.of(severity):
            items = "\n".join(
                f'<li><code>{one.code}</code> <span class="place">({in_html(place(one))})</span><br>{in_html(sentence(one))}</li>'
                for one in found
            )
            body += [f"<h2>{in_html(HEADINGS[severity])}</h2>", f"<ul>{items}</ul>"]
    if report.hidden:
        body.append(f"<p>{HIDDEN}</p>")
    if report.example:
        body += [
            f"<h2>Line {report.example.line} as the model will see it</h2>",
            f"<p>What the model learns to write stands marked in {OPEN} {CLOSE}.</p>",
            for_page(report.example.spans),
        ]
    name = f"{report.path}, checked"
    return _PAGE.format(title=in_attribute(name), heading=in_html(name), style=STYLE, body="\n".join(body))
