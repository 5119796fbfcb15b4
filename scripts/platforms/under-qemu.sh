#!/bin/bash
# Runs a command where executables for arm64 start through qemu, in a user namespace of its own with every id mapped:
# binfmt_misc belongs to the user namespace from Linux 6.7 on, so this machine's own is not touched.
# usage: under-qemu.sh QEMU COMMAND...
set -eu
export QEMU="$1"; shift
go=$(mktemp -u); mkfifo "$go"
unshare --user --mount --ipc bash -euc '
read -r _ < "$0"; rm -f "$0"
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
magic="\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
mask="\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
printf %s ":arm64:M::$magic:$mask:$QEMU:FP" > /proc/sys/fs/binfmt_misc/register
exec setpriv --reuid 0 --regid 0 --clear-groups "$@"' "$go" "$@" &
pid=$!
until [ "$(readlink /proc/$pid/ns/user)" != "$(readlink /proc/self/ns/user)" ]; do sleep 0.02; done
echo '0 0 4294967295' > /proc/$pid/uid_map
echo '0 0 4294967295' > /proc/$pid/gid_map
echo > "$go"
wait $pid
