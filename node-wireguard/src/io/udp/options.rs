const BUFFER_BYTES: u32 = 16 << 20;

/// How a socket is made.
#[derive(Clone, Copy, Debug)]
pub struct UdpOptions {
    /// Several sockets of this process share address and port (one per shard).
    pub reuse_port: bool,
    /// What is asked of the kernel for each direction, in bytes; without root the machine's limit wins.
    pub buffer_bytes: u32,
    /// Mark of the packets (SO_MARK), for routing policy and firewalls; 0: none. Needs CAP_NET_ADMIN.
    pub mark: u32,
    /// Datagrams too long for the way are cut into IP fragments, as the kernel's WireGuard has it, and not refused.
    pub fragment: bool,
}

impl Default for UdpOptions {
    fn default() -> Self {
        Self { reuse_port: false, buffer_bytes: BUFFER_BYTES, mark: 0, fragment: false }
    }
}
