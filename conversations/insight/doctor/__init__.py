"""Try everything that can be tried of an installation. Each check is one function with one result."""
