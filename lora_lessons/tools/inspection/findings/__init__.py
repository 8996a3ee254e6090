"""What stands out about an adapter, in sentences: from its settings, its numbers, its file, and from the base."""

from __future__ import annotations

from collections.abc import Sequence

from ..reading import AdapterFolder
from ..xray import AdaptedMatrix, AgainstBase, Finding
from . import of_base, of_file, of_numbers, of_settings

_ORDER = {"wrong": 0, "look": 1, "note": 2}


def all_findings(
    opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], against: AgainstBase | None = None
) -> tuple[Finding, ...]:
    """Every finding, the gravest first; those that need the base only where it was held against the adapter."""
    every = [*of_file.findings(opened), *of_settings.findings(opened, matrices), *of_numbers.findings(opened, matrices)]
    every += of_base.findings(opened, matrices, against)
    return tuple(sorted(every, key=lambda finding: _ORDER[finding.severity]))
