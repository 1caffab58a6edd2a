# The image of the web server, the workers and all commands: `docker build -t smsproxy .`
#
# The tag is exact, but a tag can be moved. To pin the very image, take its digest and name it:
#   docker pull python:3.13.12-slim-trixie        prints "Digest: sha256:…"
#   docker build --build-arg PYTHON=python:3.13.12-slim-trixie@sha256:… -t smsproxy .
ARG PYTHON=python:3.13.12-slim-trixie

FROM ${PYTHON} AS build
WORKDIR /source
COPY . .
# More files of packages: `docker build --build-arg EXTRAS=requirements-otel.txt …` for traces.
ARG EXTRAS=""
# The same script installs on a host without containers. Wheels only, so no compiler is needed here either.
RUN EXTRAS="$EXTRAS" deploy/build.sh /srv/smsproxy

FROM ${PYTHON}
# Neither pip nor a shell for the user: what runs here needs Python alone.
RUN python -m pip uninstall --quiet --yes pip \
    && useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin smsproxy
COPY --from=build /srv/smsproxy /srv/smsproxy
WORKDIR /srv/smsproxy
ENV PATH=/srv/smsproxy/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
EXPOSE 8000
# Of the web server. compose.yaml has another one for the workers.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
    CMD ["python", "deploy/healthcheck.py"]
# It writes to /tmp alone. Run it with --read-only --tmpfs /tmp.
CMD ["gunicorn", "smsproxy.wsgi", "--bind", "0.0.0.0:8000"]
