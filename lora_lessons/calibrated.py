"""GPTQ and AWQ in miniature: rounding that looks at what the layer reads."""
