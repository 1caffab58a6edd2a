"""Times as on all our pages. staff.js rewrites them in the viewer's zone."""

DATETIME_FORMAT = "Y-m-d H:i e"
DATE_FORMAT = "Y-m-d"
