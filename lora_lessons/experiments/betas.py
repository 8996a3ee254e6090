"""What β does: DPO on the course's pairs at five values of it, and what each preferred, said and forgot.

`COMMAND` records it, and lesson 17's widget replays it.
"""

from __future__ import annotations

NAME = "lesson_17_betas"
COMMAND = "python -m workshop record betas"
BETAS = (0.01, 0.03, 0.1, 0.3, 1.0)
