"""What is measured for hours and kept in data/: `python -m workshop record --help`."""
