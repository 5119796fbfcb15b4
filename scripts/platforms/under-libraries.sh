#!/bin/sh
# Runs a command where the libraries of another system lie over this one's /usr/lib, with a /dev/shm and System V
# segments of its own. Programs of this system go on working there.
# usage: under-libraries.sh FOLDER COMMAND...
set -eu
export SYSTEM="$1"; shift
exec unshare --mount --ipc sh -euc '
mount --make-rprivate /
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t overlay -o "lowerdir=$SYSTEM/usr/lib:/usr/lib" overlay /usr/lib
exec "$@"' sh "$@"
