"""A package, so that its conftest is not taken for the one above it."""

from playwright.sync_api import expect

# Playwright gives a page five seconds to become what is expected of it. A loaded machine needs longer to wake a widget,
# or to ask a kernel; what never comes about fails as well, a minute later.
expect.set_options(timeout=60_000)
