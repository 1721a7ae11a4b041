#!/bin/sh
# Init of the guest. /modules are numbered in the order in which they need each other.
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin
mount -t sysfs sys /sys
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/jobs /run/wireguard
for module in /modules/*.ko; do insmod "$module"; done
hostname guest
# Which card came first is chance.
for card in eth0 eth1; do
  case $(cat /sys/class/net/$card/address) in *:02) /bin/ip link set $card name control ;; esac
done
[ -e /sys/class/net/eth0 ] || /bin/ip link set eth1 name eth0
/bin/ip link set lo up
/bin/ip address add 169.254.77.2/30 dev control
/bin/ip link set control up
nc -ll -p 7 -e /agent &
until netstat -ltn | grep -q ':7 '; do usleep 5000; done
echo 'the guest is ready'
while :; do wait; sleep 3600; done
