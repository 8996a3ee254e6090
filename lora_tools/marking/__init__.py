"""A class is marked: each answer by its exercise's check, in a process that can neither see nor change a mark.

`notebooks` finds the answers, `judging` makes the table, `confined` holds the code in, and `values` is all that a check
hears of it; `together` is for the checks that need more. The site's page for teachers says what that holds, and where.
"""
