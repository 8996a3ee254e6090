"""Programs that run inside a tool's own environment: each quantizes a merged model, then loads it back and measures it.

The course is not installed there, so they import nothing of it, and only each other's `measuring` and `distance`.
llama_worker alone runs in the course's environment, on the course's wrapper of llama.cpp.
"""
