"""The course as web pages: a static site, made from the stored notebooks."""
