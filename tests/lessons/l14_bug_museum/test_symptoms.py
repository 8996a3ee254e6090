"""A learner's words find their exhibit, the page of symptoms is current, and the command says what to look at."""

import complaints_of_the_museum as complaints
import pytest

from lora_lessons import cli
from lora_lessons.course.lesson import lessons
from lora_lessons.lessons.l14_bug_museum import page
from lora_lessons.lessons.l14_bug_museum.exhibits import catalogue, place
from lora_lessons.lessons.l14_bug_museum.symptoms import search
from lora_lessons.paths import course_root

COMPLAINTS = [*complaints.HALL_1, *complaints.HALL_2, *complaints.HALL_3]
