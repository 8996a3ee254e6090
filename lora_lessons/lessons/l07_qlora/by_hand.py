"""Moved to `lora_lessons.lessons.l07`: this is here until lesson 08 imports it from there."""

from ..l07 import *  # noqa: F403
