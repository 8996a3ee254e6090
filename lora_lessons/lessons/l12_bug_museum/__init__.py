"""Lesson 12: The bug museum, hall 1: can you see what is wrong?

After it, the learner can diagnose training that goes wrong in silence.
"""

# To hang an exhibit, 12.8 for example (a new one has the next number of all, and says its hall in exhibits.toml):
#
# 1. exhibits.toml: its text in the catalogue. From it come the plaque in the notebook, notebooks/symptoms.md and
#    `lora-lessons symptom`. No measured number stands in it: those belong to the notebook.
# 2. exercises_hall_2.py: @exercise("12.8", the exhibit's own title, difficulty=…, minutes=…). The check runs what the
#    learner repaired, on something tiny and within a second or two, and has a sentence for each likely wrong repair.
#    tests/lessons/l12_bug_museum/wrong_answers_2.py: WRONG = {"12.8": [at least three]}.
# 3. The hall's notebook, in this order; tests/lessons/l12_bug_museum/test_halls.py holds every exhibit to it:
#      ## Exhibit 12.8 · the catalogue's title          which does not give it away
#      > *the complaint, as a learner would post it*     one or two sentences
#      a code cell: real code with one mistake           no error is raised; then the symptom, and
#                                                        vital_signs({"name": (value here, value when healthy), …})
#      (records, if a sentence uses them, at the end of that cell)
#      ### Exercise 12.8 · ★★☆ · 6 minutes              one or two sentences: what to repair
#      a code cell: a typed stub with a docstring and    ...   and then check("12.8", name)
#      Hint 1 (where to look), Hint 2 (what the vital signs say), Hint 3 (the line), Solution: folded as in every lesson
#      a code cell: plaque("12.8"), or plaque("12.8", xray.findings), plaque("12.8", report.problems,
#        by="lora-lessons check") where the tool names it on the broken thing
# 4. tests/lessons/l12_bug_museum/complaints.py: two or more complaints in other words than the exhibit's own symptoms.
#    Those of public threads are in threads.jsonl, half of it held back: do not choose words by that half.
# 5. `python -m workshop readme` makes notebooks/symptoms.md anew.
#
# A mistake that a lesson has the learner repair is no exhibit here: its entry in exhibits.toml has that exercise's id
# and title, and the lesson's notebook as `in_lesson`.

# Imported here because they register themselves.
from . import exercises_hall_1 as exercises_hall_1
from . import exercises_hall_2 as exercises_hall_2
from . import exercises_hall_3 as exercises_hall_3
