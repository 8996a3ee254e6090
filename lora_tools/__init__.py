"""What people run on their own models: plan it, check its data, inspect an adapter, export it, train it on several cards."""
