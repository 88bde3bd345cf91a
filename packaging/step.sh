#!/bin/sh
# Says what a step of the set-up does, does it, and says how long it took, or how long it is at it.
#
#     step.sh WORDS COMMAND [ARGUMENT...]

words=$1
shift
begun=$(date +%s)
echo "$words …"
(
    while sleep 20 >/dev/null 2>&1; do
        echo "$words … $(($(date +%s) - begun)) s"
    done
) &
clock=$!
# Before the command can end by a signal that ends this as well.
trap 'kill "$clock" 2>/dev/null' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
"$@" || {
    code=$?
    echo "$words: failed after $(($(date +%s) - begun)) s" >&2
    exit $code
}
echo "$words: $(($(date +%s) - begun)) s"
