# Says Ray's id of the node at an address and port once the cluster counts it as alive: alive.py HEAD ADDRESS PORT SECONDS
import os
import socket
import sys
import time

head, address, port, seconds = sys.argv[1:]
deadline = time.monotonic() + float(seconds)


def end(reason):
    print(reason, file=sys.stderr, flush=True)
    os._exit(1)


def connect():
    host, head_port = head.rsplit(":", 1)
    reason = ""
    while time.monotonic() < deadline:
        try:
            return socket.create_connection((host, int(head_port)), 2).close()
        except OSError as error:
            reason = str(error)
        time.sleep(0.1)
    end(f"no connection to the head at {head}: {reason}")


# Ray's own client would wait for its head for as long as a node of the cluster does, and say nothing.
connect()
os.environ["RAY_gcs_rpc_server_reconnect_timeout_s"] = "5"

from ray._raylet import GcsClient  # noqa: E402
from ray.core.generated.gcs_pb2 import GcsNodeInfo  # noqa: E402

reason = "the head does not know this node yet"
client = None
while time.monotonic() < deadline:
    try:
        client = client or GcsClient(address=head)
        for node_id, node in client.get_all_node_info(timeout=5).items():
            mine = node.node_manager_address == address and node.node_manager_port == int(port)
            if mine and node.state == GcsNodeInfo.GcsNodeState.ALIVE:
                print(node_id.hex(), flush=True)
                os._exit(0)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1][:300]
    time.sleep(0.2)
end(reason)
