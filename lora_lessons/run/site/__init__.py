"""The course as a site that answers without a kernel: static pages, made by Sphinx from the stored notebooks."""
