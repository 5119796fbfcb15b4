#!/bin/bash
# Runs a command, and podman in it, with podman's storage in memory, where it ends with the command. So a container may
# have this machine's own files as its root, through an overlay.
# usage: with-podman.sh COMMAND...
set -eu
exec unshare --mount bash -euc '
mount --make-rprivate /
mkdir -p /run/shm-node-podman
mount -t tmpfs tmpfs /run/shm-node-podman
mount -t tmpfs tmpfs /dev/shm # it keeps its locks there
cd /run/shm-node-podman
printf "[storage]\ndriver = \"vfs\"\ngraphroot = \"%s\"\nrunroot = \"%s\"\n" "$PWD/graph" "$PWD/run" > storage.conf
export CONTAINERS_STORAGE_CONF=$PWD/storage.conf
cd "$OLDPWD"
exec "$@"' with-podman "$@"
