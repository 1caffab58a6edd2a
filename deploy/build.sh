#!/bin/sh
# Install the program into a folder, as the Dockerfile does: only what it needs to run, compiled, and not writable by
# the user that runs it. A file .env in the folder stays. Stop the program first if it runs from there.
#
#   deploy/build.sh FOLDER          such as /srv/smsproxy
#
# PYTHON names another interpreter than python3: 3.11, 3.12 or 3.13.
# EXTRAS names more files of packages, such as requirements-otel.txt for traces.
set -eu
umask 022

parts="manage.py gunicorn.conf.py requirements.txt requirements-otel.txt constraints.txt LICENSE smsproxy numbers conversations deploy"

[ $# = 1 ] || { echo "Usage: deploy/build.sh FOLDER" >&2; exit 2; }
source=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
[ "$source" != "$folder" ] || { echo "FOLDER must not be the checkout itself." >&2; exit 2; }
python=$folder/.venv/bin/python

echo "Copying the program to $folder"
for part in $parts; do rm -rf "${folder:?}/$part"; done
# shellcheck disable=SC2086  (the list has no spaces in its names)
tar -C "$source" --exclude=__pycache__ --no-same-owner -cf - $parts | tar -C "$folder" --no-same-owner -xf -

files="-r requirements.txt"
for extra in ${EXTRAS:-}; do files="$files -r $extra"; done
echo "Installing the packages of requirements.txt${EXTRAS:+ and $EXTRAS}"
"${PYTHON:-python3}" -m venv --clear "$folder/.venv"
# Wheels only: nothing is compiled from source, so no compiler is needed, and no package runs code while it is installed.
# shellcheck disable=SC2086  (options, one after another)
(cd "$folder" && "$python" -m pip install --quiet --disable-pip-version-check --only-binary :all: --no-compile $files)
# 40 MB of names of places, which only phonenumbers.geocoder reads. Nothing here imports it.
rm -rf "$folder"/.venv/lib/python*/site-packages/phonenumbers/geodata

echo "Compiling"
"$python" -m pip uninstall --quiet --yes pip
"$python" -m compileall -q -j 0 "$folder/smsproxy" "$folder/numbers" "$folder/conversations" "$folder/.venv/lib"
chmod -R u+rwX,go+rX,go-w "$folder/.venv"
for part in $parts; do chmod -R u+rwX,go+rX,go-w "$folder/$part"; done

echo "Starting it once"
if [ "$(id -u)" = 0 ]; then
  as_another="setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs"
  if ! (cd / && $as_another "$python" -c ""); then
    echo "Only root can run $python. Is $folder, or the Python it uses, in a folder that other users cannot enter?" >&2
    exit 1
  fi
  if [ -n "$(cd / && $as_another find "$folder" -writable ! -type l -print -quit)" ]; then
    echo "The user that runs the program could change it." >&2
    exit 1
  fi
else
  as_another=""
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 777 "$scratch"
# Keys for this one start. ENV_FILE is not the .env of the folder, which only its owner can read.
start="env -i PATH=$PATH TMPDIR=$scratch ENV_FILE=/dev/null DATABASE_URL=sqlite:///$scratch/db.sqlite3 \
  SECRET_KEY=for-one-start NUMBER_HASH_KEY=for-one-start-for-one-start-for-one-start \
  ENCRYPTION_KEYS=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
cd "$folder"
$as_another $start "$python" manage.py check --fail-level ERROR >/dev/null
$as_another $start "$folder/.venv/bin/gunicorn" --check-config smsproxy.wsgi
echo "Installed in $folder"
