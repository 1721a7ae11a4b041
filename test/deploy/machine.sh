#!/bin/bash
# A machine of its own for the units: systemd as its first process, over a copy-on-write view of this one's files.
#   unshare -pmnuC --fork --kill-child bash machine.sh CHECKOUT RAY FOLDER
# CHECKOUT is at /opt/ropewalk there, the runtime's folder RAY at /opt/ray, and FOLDER, for what it says, at /var/said.
# It runs inside.sh as its only job and powers off.
set -e
checkout=$1 ray=$2 folder=$3
mount --make-rprivate /
ip link set lo up
ip link add wire0 type veth peer name wire1 # an address to go out by, as a machine has one
ip address add 192.168.77.2/24 dev wire0
ip link set wire0 up
ip link set wire1 up
ip route add default via 192.168.77.1

mkdir -p "$folder/layers"
mount -t tmpfs tmpfs "$folder/layers"
mkdir "$folder"/layers/{upper,work,root}
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/layers/upper,workdir=$folder/layers/work" "$folder/layers/root"
cd "$folder/layers/root"
mount -t proc proc proc
mount --rbind /dev dev
mount -t sysfs sysfs sys
for place in run tmp var/tmp sys/fs/cgroup; do mount -t tmpfs tmpfs $place; done
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  mount -t cgroup2 cgroup2 sys/fs/cgroup
else
  mkdir sys/fs/cgroup/{systemd,unified,cpu,memory,pids,devices}
  mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
  mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
  for one in cpu memory pids devices; do mount -t cgroup -o $one cgroup sys/fs/cgroup/$one; done
fi
mkdir -p opt/ropewalk opt/ray var/said
mount --bind "$checkout" opt/ropewalk
mount --bind "$ray" opt/ray
mount --bind "$folder" var/said
rm -f etc/resolv.conf
echo 'nameserver 127.0.0.1' >etc/resolv.conf
printf '127.0.0.1 localhost\n192.168.77.2 %s\n' "$(hostname)" >etc/hosts

units=etc/systemd/system
cp -r "$checkout"/deploy/systemd/. $units/
# what would act on the machine below, or waits for hardware that is not here
for unit in lib/systemd/system/systemd-{udevd,udev-trigger,tmpfiles-*,remount-fs,random-seed,update-utmp,modules-load,sysctl,binfmt,logind,firstboot,resolved,timesyncd,networkd,machine-id-commit}.service; do
  ln -sf /dev/null "$units/$(basename "$unit")"
done
cat >$units/lab.target <<'UNIT'
[Unit]
Wants=ropewalk-relay.service ropewalk.service inside.service
UNIT
cat >$units/inside.service <<'UNIT'
[Unit]
After=ropewalk-relay.service
[Service]
Type=oneshot
ExecStart=/bin/bash /opt/ropewalk/test/deploy/inside.sh
StandardOutput=file:/var/said/inside
StandardError=inherit
ExecStopPost=/bin/systemctl --force --force poweroff
UNIT

# as the comments of the units say
chroot . useradd --system ropewalk-relay
ropewalk() { chroot . /opt/ropewalk/node_modules/.bin/node /opt/ropewalk/peer/bin/ropewalk.mjs "$@" --state /var/lib/admin; }
mkdir -p etc/ropewalk
ropewalk network create lab
ropewalk invite --name relay --relay --public-host 127.0.0.1 >etc/ropewalk/relay.ticket
printf 'ROPEWALK_TICKET=%s\nROPEWALK_RUNTIME=/opt/ray\n' "$(ropewalk invite --name worker --hire)" >etc/ropewalk/environment
chmod 600 etc/ropewalk/*
# Credentials need access control lists in /run, which not every kernel has: then the relay reads the ticket itself.
mkdir $units/ropewalk-relay.service.d
chroot . install -o ropewalk-relay -m 600 /etc/ropewalk/relay.ticket /var/lib/relay.ticket
start=$(grep ^ExecStart= $units/ropewalk-relay.service | sed 's|\${CREDENTIALS_DIRECTORY}/ticket|/var/lib/relay.ticket|')
printf '[Service]\nExecStart=\n%s\n' "$start" >$units/ropewalk-relay.service.d/ticket.conf

mkdir old
pivot_root . old
cd /
umount -l /old
export container=lab
exec /lib/systemd/systemd --system --unit=lab.target --log-target=console --log-level=notice
