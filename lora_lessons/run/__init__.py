"""What runs notebooks, and keeps what they measured."""
