"""Print the URL of a PostgreSQL database to test on. If none answers, say so and exit 1."""

import os
import sys

import psycopg


def find() -> str | None:
    candidates = ["postgres:///test", "postgres://127.0.0.1/test"]
    if named := os.environ.get("TEST_DATABASE_URL"):
        candidates = [named]
    for url in candidates:
        try:
            psycopg.connect(url, connect_timeout=3).close()
        except psycopg.OperationalError:
            continue
        return url
    return None


if __name__ == "__main__":
    url = find()
    if url is None:
        sys.exit("No PostgreSQL answers. Name one in TEST_DATABASE_URL, such as postgres://user:password@host/name.")
    print(url)  # noqa: T201
