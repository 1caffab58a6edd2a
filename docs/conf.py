"""How Sphinx builds these pages: `make docs` writes them to var/docs."""

project = "smsproxy"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "smsproxy"
# Headings up to this level can be linked to by the name that GitHub gives them.
myst_heading_anchors = 3
# An example with a placeholder such as «…» in it is no valid JSON, and is shown as it is.
suppress_warnings = ["misc.highlighting_failure"]
