"""`python -m lora_lessons.cli` is `lora-lessons`."""

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
