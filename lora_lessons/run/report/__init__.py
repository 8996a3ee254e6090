"""The report of a run: report.json for programs; report.html, one file, for people."""

from .parts import outcome
from .written import as_html, write_report

__all__ = ["as_html", "outcome", "write_report"]
