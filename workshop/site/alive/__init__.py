"""The live part of the site: the course's own model, which answers in the visitor's browser (`make site ALIVE=1`).

`library` fetches llama.cpp as WebAssembly, `supply` writes it and the models into the site, `doors` puts a button on
the pages. What runs in the browser is in page/.
"""
