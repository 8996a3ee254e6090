"""The course as web pages that answer without a kernel."""
