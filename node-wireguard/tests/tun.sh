# Two network namespaces with a cable, a device with a TUN in each. Run by tun.rs in namespaces of its own, which end with it.
# $1: the example `node`, $2: the MTU of the cable. Talks on stdout; the first command that fails ends it.
set -eu
node=$1 cable=$2
mount -t tmpfs none /run
mkdir /run/netns
in_a() { ip netns exec a "$@"; }
in_b() { ip netns exec b "$@"; }
until_true() { n=0; until "$@" >/dev/null 2>&1; do n=$((n + 1)); [ $n -lt 100 ] || { echo "never true: $*"; cat /run/log-*; exit 1; }; sleep 0.1; done; }

ip netns add a
ip netns add b
ip -n a link add cable type veth peer name cable netns b
ip -n a addr add 10.99.0.1/24 dev cable
ip -n b addr add 10.99.0.2/24 dev cable
for ns in a b; do
  ip -n $ns link set lo up
  ip -n $ns link set cable mtu "$cable" up
done
key_a=$(printf '01%.0s' $(seq 32)) key_b=$(printf '02%.0s' $(seq 32))
public_a=$("$node" public key="$key_a") public_b=$("$node" public key="$key_b")
mkfifo /run/talk
in_a "$node" tun=rope0 address=10.98.0.1/24 address=fd00::1/64 key="$key_a" listen=10.99.0.1:51820 \
  peer="$public_b" allowed=10.98.0.2/32 allowed=fd00::2/128 remote=10.99.0.2:51820 </run/talk >/run/log-a 2>&1 &
in_b "$node" tun=rope0 address=10.98.0.2/24 address=fd00::2/64 key="$key_b" listen=10.99.0.2:51820 \
  peer="$public_a" allowed=10.98.0.1/32 allowed=fd00::1/128 remote=10.99.0.1:51820 </run/talk >/run/log-b 2>&1 &
exec 7>/run/talk # until this ends, both live
until_true in_a ping -c 1 -W 1 10.98.0.2
until_true in_a ping -c 1 -W 1 fd00::2
echo "ping: both families"
in_a ping -q -c 3 -i 0.2 -W 1 -s 1380 -M "do" 10.98.0.2 || [ "$cable" -lt 1500 ]
in_b ping -q -c 3 -i 0.2 -s 4000 10.98.0.1
echo "ping: large, and larger than the MTU in fragments"
ip netns exec b iperf3 -s >/dev/null 2>&1 7>&- & # it must not keep the pipe open
until_true in_a iperf3 -c 10.98.0.2 -n 1K
for words in "-P 1" "-R" "-6" "-u -b 50M -l 1200"; do
  to=10.98.0.2
  [ "$words" = "-6" ] && to=fd00::2
  # The server may still be busy with the client before.
  until in_a iperf3 -f m -c $to -t 1 $words >/run/iperf; do sleep 0.2; done
  echo "iperf3 $words: $(grep receiver /run/iperf)"
done
! grep -i panic /run/log-a /run/log-b
exec 7>&-
wait %1 %2
echo "both ended by themselves"
