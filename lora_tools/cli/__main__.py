"""`python -m lora_tools.cli` is `lora-lessons`."""

from __future__ import annotations

import sys
import traceback

from . import EXIT_FAILED, main


def program() -> None:
    """Run the command and end with its exit status. A mistake of ours shows its traceback,
    and is never taken for a "no"."""
    try:
        status = main()
    except Exception:
        traceback.print_exc()
        status = EXIT_FAILED  # Python alone would say 1
    sys.exit(status)


if __name__ == "__main__":
    program()
