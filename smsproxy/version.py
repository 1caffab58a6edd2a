"""The version of this program: written here, and nowhere else. CHANGELOG.md says what each one changed."""

VERSION = "1.0.0"
