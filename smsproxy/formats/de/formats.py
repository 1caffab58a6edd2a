"""German numbers with a decimal point: templates draw SVG with them, and amounts look the same in the API."""

DECIMAL_SEPARATOR = "."
THOUSAND_SEPARATOR = ""
# As on all our pages. staff.js rewrites them in the viewer's zone.
DATETIME_FORMAT = "Y-m-d H:i e"
