"""Programs that run inside a tool's own environment: each quantizes a merged model, then loads it back and measures it.

They import nothing of the course, which is not installed there, and only each other's `measuring`.
"""
