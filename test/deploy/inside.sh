# What is done in the machine of machine.sh: its units run; their worker is hired, runs a job, and is stopped.
ropewalk() { /opt/ropewalk/node_modules/.bin/node /opt/ropewalk/peer/bin/ropewalk.mjs "$@"; }
export ROPEWALK_STATE=/var/lib/ropewalk
ropewalk status --wait --timeout 30s
until ropewalk devices | grep -q worker; do sleep 0.2; done # the test's own limit ends this
ropewalk cluster create one --workers 1 --cpus 1 --memory 2GiB --for 10m
mkdir /tmp/job
cd /tmp/job || exit
ropewalk job submit -- python -c 'import ray; ray.init(); print("nodes:", len(ray.nodes()))'
systemctl stop ropewalk
echo "peer: $(systemctl is-failed ropewalk) $(systemctl show -p Result --value ropewalk)"
echo "relay: $(systemctl is-active ropewalk-relay)"
echo "left: $(pgrep -c -f raylet) processes, $(nft list tables | wc -l) tables, $(find /var/lib/ropewalk/leases -mindepth 1 | wc -l) files"
echo "warnings: $(journalctl --no-pager -o cat -u ropewalk -u ropewalk-relay | grep -c '"level":"\(warn\|error\)"')"
journalctl --no-pager -o cat -u ropewalk -u ropewalk-relay | grep '"level":"\(warn\|error\)"'
