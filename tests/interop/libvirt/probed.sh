#!/bin/sh
# A QEMU whose capabilities libvirt asks for: its monitor is the one that listens at `monitor` beside
# this file.
#
# libvirt names the monitor's path, and a file for the process ID of a daemon, which it kills in the end.
# If a program `qemu` is beside this file, that is the daemon, with its own monitor at `qemu.sock`.
set -eu

place=$(dirname -- "$0")
while [ $# -gt 0 ]; do
  case $1 in
  -machine) machine=$2 ;;
  -qmp) path=${2#unix:} path=${path%%,*} ;;
  -pidfile) pidfile=$2 ;;
  esac
  shift
done
ln -s "$place/monitor" "$path"
if [ -e "$place/qemu" ]; then
  exec "$place/qemu" -S -no-user-config -nodefaults -nographic -machine "$machine" \
    -qmp "unix:$place/qemu.sock,server=on,wait=off" -pidfile "$pidfile" -daemonize
fi
sleep infinity </dev/null >/dev/null 2>&1 &
echo $! >"$pidfile"
