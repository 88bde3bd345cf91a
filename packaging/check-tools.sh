#!/bin/sh
# Says in a plain sentence what this machine lacks for a build. Silent when nothing is missing.
# PYTHON names the interpreter; python3 if unset.

python=${PYTHON:-python3}
missing=0

lacks() {
    echo "$1" >&2
    missing=1
}

if ! command -v "$python" >/dev/null; then
    lacks "Python is missing: install Python 3.11 or newer (Debian: python3 and python3-venv)."
elif ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    lacks "Python 3.11 or newer is needed, and $python is $("$python" -V 2>&1): name a newer one, as in make PYTHON=python3.12."
elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    lacks "This Python cannot make virtual environments: install its venv module (Debian: python3-venv)."
fi

if [ "$LLAMA" = source ] && {
    ! command -v "${CC:-cc}" >/dev/null || ! command -v "${CXX:-c++}" >/dev/null
}; then
    lacks "A C and C++ compiler is missing: install GCC or Clang (Debian: build-essential)."
fi

exit $missing
