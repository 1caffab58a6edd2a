"""How staff sign in: password, lockout, second factor, sessions and language. docs/sign-in.md explains it."""
