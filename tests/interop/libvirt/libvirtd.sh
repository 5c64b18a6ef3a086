#!/bin/sh
# Runs libvirtd without a service manager: `libvirtd.sh PLACE`. It has its own
# mount, network and process namespaces: it changes nothing on the machine and
# leaves nothing behind.
#
# Its sockets are in PLACE. A line on standard input restarts it; the line `kill`
# kills it first. End of file on standard input stops it and everything in the
# namespaces. The network has a bridge, `bridge0`, and nothing else.
set -eu
place=$1

for directory in /var/lib /var/cache /var/log /run /etc/libvirt; do
  mount -t tmpfs tmpfs "$directory"
done
mkdir -p /etc/libvirt/qemu /run/own
cat >/etc/libvirt/qemu.conf <<END
stdio_handler = "file"
security_driver = "none"
cgroup_controllers = []
namespaces = []
user = "root"
group = "root"
remember_owner = 0
max_core = 0
END
cat >/run/own/libvirtd.conf <<END
unix_sock_dir = "$place"
auth_unix_rw = "none"
auth_unix_ro = "none"
log_outputs = "4:stderr"
END

# libvirt looks up this user, whatever qemu.conf says.
for file in passwd group; do cp "/etc/$file" "/run/own/$file"; done
echo 'libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin' >>/run/own/passwd
echo 'libvirt-qemu:x:64055:' >>/run/own/group
for file in passwd group; do mount --bind "/run/own/$file" "/etc/$file"; done

ip link add bridge0 type bridge
ip link set bridge0 up

start() {
  libvirtd -f /run/own/libvirtd.conf -p /run/own/libvirtd.pid </dev/null &
  daemon=$!
}

# As the first process of its namespace it has to reap orphans, which `wait` does
# and `read` does not.
exec 3<&0
order() {
  (read -r order && echo "$order" >/run/own/order) <&3 &
  wait $!
}

start
while order; do
  signal=TERM
  [ "$(cat /run/own/order)" != kill ] || signal=KILL
  kill -"$signal" "$daemon"
  wait "$daemon" || true
  start
  echo restarted
done
