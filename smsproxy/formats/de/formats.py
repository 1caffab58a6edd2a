"""German numbers with a decimal point: templates draw SVG with them, and amounts look the same in the API."""

DECIMAL_SEPARATOR = "."
THOUSAND_SEPARATOR = ""
