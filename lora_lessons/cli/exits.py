"""What the command's exit status says."""

from __future__ import annotations

EXIT_OK = 0
# Something that was asked for could not be done.
EXIT_FAILED = 1
# The lessons ran, and what they measured is not what was recorded.
EXIT_DEVIATES = 2
# The command was asked for something that cannot be; the sentence says what to give.
EXIT_USER = 2
EXIT_INTERRUPTED = 130
