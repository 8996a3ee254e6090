"""What stands out about an adapter, in sentences: from its settings, its numbers, its file,
from the base and its architecture."""

from __future__ import annotations

from collections.abc import Sequence

from ..reading import AdapterFolder
from ..xray import AdaptedMatrix, AgainstBase, Finding
from . import of_architecture, of_base, of_before, of_file, of_numbers, of_settings

_ORDER = {"wrong": 0, "look": 1, "note": 2}


def all_findings(
    opened: AdapterFolder,
    matrices: Sequence[AdaptedMatrix],
    against: AgainstBase | None = None,
    before: AdapterFolder | None = None,
) -> tuple[Finding, ...]:
    """Every finding, the gravest first; those that need the base, or the adapter `before`, only where it was given."""
    every = [*of_file.findings(opened), *of_settings.findings(opened, matrices), *of_numbers.findings(opened, matrices)]
    every += [*of_base.findings(opened, matrices, against), *of_architecture.findings(opened, matrices, against)]
    every += of_before.findings(opened, before) if before is not None else []
    return tuple(sorted(every, key=lambda finding: _ORDER[finding.severity]))
