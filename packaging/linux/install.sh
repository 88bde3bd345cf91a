#!/bin/sh
# Installs the appliance, or removes it:
#
#     ./install.sh              for all users, below /usr/local (as root)
#     ./install.sh --user       for you alone, below ~/.local
#     ./install.sh --remove     remove it; with --user, from ~/.local. Chats stay.
#
# PREFIX sets another folder.
set -eu

floor=${GLIBC_FLOOR}
here=$(cd "$(dirname "$0")" && pwd)
prefix=${PREFIX:-/usr/local}
remove=no
user=no
for word in "$@"; do
    case "$word" in
        --user) user=yes prefix=${PREFIX:-$HOME/.local} ;;
        --remove) remove=yes ;;
        *)
            sed -n '2,8s/^# \{0,1\}//p' "$0"
            exit 2
            ;;
    esac
done

unit=$prefix/lib/systemd/system/appliance.service
list=$prefix/lib/appliance.files

take_away() {
    [ -f "$list" ] || return 0
    while read -r file; do
        rm -f "$prefix/$file"
    done <"$list"
    rm -rf "$prefix/lib/appliance" "$list"
    rm -f "$unit"
    rmdir "$prefix"/share/doc/appliance* 2>/dev/null || true
}

if [ "$remove" = yes ]; then
    if [ -f "$unit" ]; then
        systemctl disable --now appliance.service 2>/dev/null || true
    fi
    take_away
    echo "The appliance is gone from $prefix; chats and settings are where they were."
    exit 0
fi

have=$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d' ' -f2)
oldest=$(printf '%s\n%s\n' "${have:-0}" "$floor" | sort -V | head -n 1)
if [ "$oldest" != "$floor" ]; then
    echo "This system's C library is ${have:-not glibc}; glibc $floor or newer is needed." >&2
    exit 1
fi
mkdir -p "$prefix/bin" "$prefix/lib" "$prefix/share"
if [ ! -w "$prefix/lib" ]; then
    echo "$prefix is not yours to write to: run this as root, or with --user." >&2
    exit 1
fi

# A running service finishes its replies and is restarted with the new version.
runs=no
if [ -f "$unit" ] && systemctl --quiet is-active appliance.service 2>/dev/null; then
    runs=yes
    systemctl stop appliance.service
fi
take_away
# Atomic: the program is copied next to its folder, then renamed.
rm -rf "$prefix/lib/appliance.new"
cp -R "$here/usr/lib/appliance" "$prefix/lib/appliance.new"
mv "$prefix/lib/appliance.new" "$prefix/lib/appliance"
ln -sf ../lib/appliance/appliance "$prefix/bin/appliance"
(cd "$here/usr" && find share -type f) >"$list"
echo bin/appliance >>"$list"
(cd "$here/usr" && tar -cf - share) | (cd "$prefix" && tar -xf -)

if [ -f "$here/usr/lib/systemd/system/appliance.service" ] && [ "$user" = no ]; then
    mkdir -p "$(dirname "$unit")"
    sed "s|/usr/bin/appliance|$prefix/bin/appliance|" \
        "$here/usr/lib/systemd/system/appliance.service" >"$unit"
    if command -v systemd-sysusers >/dev/null; then
        systemd-sysusers "$here/usr/lib/sysusers.d/appliance.conf" || true
    fi
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload
    fi
    if [ "$runs" = yes ]; then
        systemctl start appliance.service
    else
        echo "As a service: systemctl enable --now appliance"
    fi
fi
echo "Installed: $prefix/bin/appliance"
