"""A trained adapter outside Python: GGUF for llama.cpp, Modelfiles for Ollama, quantized formats."""
