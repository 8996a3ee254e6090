"""The page to send to a colleague: what it answers, before and after; folded, the data, the scores, the cost,
the limits.

One HTML file that loads nothing, for a phone as well. It lies beside the adapter's folder and not in it, because it
quotes held-out questions, with personal data masked as far as it is known: a hub should not get them by accident.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lora_lessons.course.blind_judge import Pair
from lora_lessons.drawing import figure_html
from lora_lessons.files import write_text
from lora_lessons.outside import in_attribute, in_html
from lora_lessons.training import Training

from ..exporting.model_card import AboutAdapter, how_to_ask
from .beforehand import Times
from .pictures import LossesAndLooks

# of the answers side by side
SHOWN = 3


def write(
    folder: Path, about: AboutAdapter, curve: LossesAndLooks, pairs: Sequence[Pair], cost: Mapping[str, str]
) -> Path:
    """Write the page of the adapter in `folder`, beside it, and return the file: never one that exists."""
    file, number = folder.with_name(f"{folder.name}.html"), 1
    while file.exists():
        number += 1
        file = folder.with_name(f"{folder.name}-page-{number}.html")
    write_text(file, as_html(about, curve, pairs, cost))
    return file


def cost_of(run: Training, here: Times, bill: float, folder: Path) -> dict[str, str]:
    """What the training took, and what the adapter takes."""
    size = sum(file.stat().st_size for file in folder.iterdir())
    earlier = f" (read back from the same run, {run.finished})" * run.reused
    return {
        "training": f"{run.seconds / 60:.1f} minutes{earlier}",
        **(
            {"tokens": f"{run.tokens:,} went through the model, {run.supervised:,} of them were learned"}
            if run.tokens
            else {}
        ),
        "a step on trial beforehand": f"{here.step:.1f} s",
        "memory of a step, by plan": f"{bill / 1e9:.1f} GB at most",
        "the adapter on the disk": f"{size / 1e6:.1f} MB",
    }


def as_html(about: AboutAdapter, curve: LossesAndLooks, pairs: Sequence[Pair], cost: Mapping[str, str]) -> str:
    """The page: what it answers, before and after, and the scores in words; all else is folded.

    Whatever comes from outside, such as a name or an answer, is shown as the text that it is.
    """
    first, *rest = map(in_html, about.summary)
    folded = {
        "The data": (
            "<p><code>lora-lessons check</code> read every line before training. The held-out lines never trained.</p>"
        )
        + _facts(about.data),
        "How it was trained": _facts(about.settings) + figure_html(curve.picture(), curve.words(), dpi=110),
        "The scores in numbers": _table(("measured", "before", "after", "how to read it"), about.scores)
        + f"<p>{in_html(about.condition)}</p>",
        "What it cost": _facts(cost),
        "How to load it": f"<p>In the adapter's folder:</p><pre>{in_html(how_to_ask(about.loads))}</pre>",
        "What was not tested": f"<ul>{''.join(f'<li>{in_html(limit)}</li>' for limit in about.limits)}</ul>",
    }
    parts = [
        f"<h1>{in_html(about.name)}</h1>",
        f"<p class=answer><b>{first}</b></p>",
        *map(_answers, pairs[:SHOWN]),
        f"<h2>In words</h2><p>{' '.join(rest)}</p>",
        f"<p>This is a LoRA adapter for <code>{in_html(about.base)}</code>, a small file that is loaded beside that "
        f"model. It was trained on {in_html(about.data['file'])}. {in_html(about.base_note)}</p>",
        *(f"<details><summary>{title}</summary>{body}</details>" for title, body in folded.items()),
    ]
    return _PAGE.format(title=in_attribute(about.name), body="\n".join(parts))


def _facts(facts: Mapping[str, str]) -> str:
    return f"<dl>{''.join(f'<dt>{in_html(name)}<dd>{in_html(value)}' for name, value in facts.items())}</dl>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = "".join(f"<tr>{''.join(f'<td>{in_html(cell)}' for cell in row)}</tr>" for row in rows)
    return f"<div class=wide><table><tr>{''.join(f'<th>{in_html(name)}' for name in head)}</tr>{cells}</table></div>"


def _answers(pair: Pair) -> str:
    before, after = in_html(pair.base), in_html(pair.adapter)
    return (
        f"<h3>{in_html(pair.question)}</h3><div class=pair><div><b>before</b><p>{before}</p></div>"
        f"<div><b>after</b><p>{after}</p></div></div>"
    )


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{title}</title><style>
:root{{color-scheme:light dark}}
body{{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:1.5rem auto;padding:0 1rem;overflow-wrap:break-word}}
.answer{{font-size:1.15rem}} img{{max-width:100%;height:auto;background:#fff}} .wide{{overflow-x:auto}}
h2{{margin-top:2rem}}
summary{{font-weight:600;margin:.6rem 0;cursor:pointer}}
table{{border-collapse:collapse}}
td,th{{padding:.3rem .8rem .3rem 0;text-align:left;vertical-align:top;border-bottom:1px solid #8884}}
dt{{font-weight:600}} dd{{margin:0 0 .4rem}} .pair{{display:grid;grid-template-columns:1fr 1fr;gap:1rem}}
.pair p{{white-space:pre-wrap;margin:.2rem 0}}
pre{{white-space:pre-wrap;padding:.8rem;border:1px solid #8884}}
@media (max-width:40rem){{.pair{{grid-template-columns:1fr}}}}
</style></head><body>
{body}
</body></html>
"""
