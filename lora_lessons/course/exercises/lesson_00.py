"""Checks of lesson 00's exercises."""
