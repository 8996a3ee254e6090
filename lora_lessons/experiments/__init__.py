"""What is measured once and quoted as recorded."""
