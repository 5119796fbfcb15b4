#!/bin/bash
# Runs a Windows program under Wine, in its Debian root, with a server of its own. The workspace lies there under the
# same path. Prints what the program prints, which goes to a file, as Windows programs need it.
# usage: under-wine.sh FOLDER PROGRAM ARGUMENT...     FOLDER, in the workspace, has debian and prefix, which is Wine's own
set -eu
export FOLDER="$1" PROGRAM="$2.exe" OUTPUT HERE="$PWD" WORKSPACE; shift 2
WORKSPACE=$(cd "$(dirname "$0")/../.." && pwd)
OUTPUT=$(mktemp "$FOLDER/output.XXXXXX"); trap 'rm -f "$OUTPUT"' EXIT
code=0
unshare --mount --ipc --pid --fork --kill-child bash -euc '
root=$FOLDER/debian
mount --make-rprivate /
mkdir -p "$root$WORKSPACE"
mount --bind "$WORKSPACE" "$root$WORKSPACE"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
export HOME=/root WINEPREFIX=$FOLDER/prefix WINEDEBUG=-all WINEARCH=win64 XDG_RUNTIME_DIR=/tmp PATH=/usr/sbin:/usr/bin:/sbin:/bin
exec chroot "$root" env -C "$HERE" sh -c "
wine \"\$PROGRAM\" \"\$@\" > \"\$OUTPUT\" 2>&1 < /dev/null; code=\$?
wineserver --kill # it writes the registry
exit \$code" sh "$@"' bash "$@" || code=$?
tr -d '\r' < "$OUTPUT"
exit $code
