"""What runs the notebooks, holds what they measured against the baselines, and reports it."""
