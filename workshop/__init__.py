"""What only maintainers run, as `python -m workshop VERB`: the site, the tables, new lessons,
recordings that take hours."""
