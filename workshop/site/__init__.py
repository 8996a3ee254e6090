"""The course as web pages: static, offline, from the notebooks as they are stored. `build.write_site` begins it.

`lessons` turns a notebook into a page, `front` writes the first page, `claims_page` the claims, `glossary` the words,
`number_pages` what every number was measured by; `widgets` and `baking` work out beforehand what the widgets answer
(what they offer, the rooms of the lessons say); `finishing` goes over the pages that Sphinx made.
"""
