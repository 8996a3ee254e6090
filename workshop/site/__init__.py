"""The course as web pages: static, offline, from the notebooks as they are stored. `build.write_site` begins it."""
