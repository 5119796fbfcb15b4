#!/bin/bash
# Boots a kernel in qemu, runs a command there, and prints what it prints. qemu emulates the processor: some machines
# that have /dev/kvm do not let a kernel start with it.
# usage: under-kernel.sh VMLINUZ COMMAND...     SHM_TEST_OWN: a folder that it has there
set -eu
kernel=$1; shift
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
r=$work/root; here=$PWD
workspace=$(cd "$(dirname "$0")/../.." && pwd)

mkdir -p "$r"/{bin,dev,etc,proc,sys,tmp,usr/bin}
cp "$(command -v busybox)" "$r/bin/busybox"
for name in cat grep ls mkdir mkfifo mount poweroff sh sleep tail; do ln -s busybox "$r/bin/$name"; done
node=$(readlink -f "$(command -v node)")
programs=(/usr/bin/{unshare,setpriv,ipcmk} "$node")
for program in "${programs[@]}"; do mkdir -p "$r$(dirname "$program")"; cp "$program" "$r$program"; done
ldd "${programs[@]}" "$SHM_NODE_PACKAGE/shm-node.node" | grep -oE '/[^ ]+\.so[^ ]*' | sort -u | while read -r library; do
  mkdir -p "$r$(dirname "$library")"; cp -L "$library" "$r$library"
done
echo root:x:0:0::/:/bin/sh > "$r/etc/passwd"
for part in "$SHM_TEST_OWN" "$workspace"/{tests,scripts,package.json,node_modules/fast-check,node_modules/pure-rand}; do
  if [ -e "$part" ]; then mkdir -p "$r$(dirname "$part")"; cp -r "$part" "$r$part"; fi
done
cat > "$r/init" <<I
#!/bin/sh
export PATH=/bin:/usr/bin:$(dirname "$node") HOME=/ SHM_NODE_PACKAGE=$SHM_NODE_PACKAGE
mount -t proc p /proc; mount -t sysfs s /sys; mount -t devtmpfs d /dev; mkdir -p /dev/shm; mount -t tmpfs -o mode=1777 s /dev/shm
mount -t tmpfs -o mode=1777 t /tmp
mount -t cgroup2 c /sys/fs/cgroup; echo +memory +pids > /sys/fs/cgroup/cgroup.subtree_control
cd '$here'
# On the console itself, a terminal, programs write colours.
$(printf '%q ' "$@") > /said 2>&1
code=\$?
echo; echo BEGIN; cat /said; echo "END \$code"; poweroff -f
I
chmod +x "$r/init"
(cd "$r" && find . | cpio -o -H newc --quiet) > "$work/initrd"
qemu-system-x86_64 -accel tcg -cpu max -m 3G -smp 2 -kernel "$kernel" -initrd "$work/initrd" \
  -append 'console=ttyS0 quiet panic=-1' -nographic -no-reboot < /dev/null > "$work/said" || true
tr -d '\r' < "$work/said" | sed -n '/^BEGIN$/,/^END [0-9]*$/p' | sed '1d;$d'
exit "$(tr -d '\r' < "$work/said" | sed -n 's/^END \([0-9]*\)$/\1/p' | grep . || echo 1)"
