"""`lora-lessons readme`: the tables and the page that are made, not written."""

from __future__ import annotations

from .exits import EXIT_OK


def readme() -> int:
    """Write the tables and the page that are made.

    For maintainers: in README and CONTRIBUTING what stands between their markers, and notebooks/symptoms.md whole.
    """
    from ..lessons.l14_bug_museum import page
    from ..run import readme as tables

    changed = [*tables.write(), *page.write()]
    for path in changed:
        print(f"{path.name}: rewritten.")
    print(f"{len(changed)} files changed.")
    return EXIT_OK
