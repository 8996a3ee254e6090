"""What is measured once, kept in data/, and quoted by the lessons as recorded."""
