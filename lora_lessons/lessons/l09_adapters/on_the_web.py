"""The mixer on the web: it plays the answers that its cell kept."""

from __future__ import annotations

from pathlib import Path

from ...course.on_the_web import kind

HERE = Path(__file__).parent
kind("mixer", HERE / "mixer.js", HERE / "mixer.css", HERE / "mixer.replay.js")
