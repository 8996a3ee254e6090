"""`python -m lora_lessons.experiments.capacity --record`: make the runs that the recording lacks."""

from .. import recordings
from .cells import NAME, record

if __name__ == "__main__":
    raise SystemExit(recordings.by_command("lora_lessons.experiments.capacity", NAME, record))
