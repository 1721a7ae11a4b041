use std::net::IpAddr;

/// What peers may send to us beside ICMP echo, ICMP errors and replies to flows that we opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterConfig {
    pub allow: Vec<FilterRule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterRule {
    pub protocol: FilterProtocol,
    /// Lowest and highest destination port, both included; ignored for ICMP.
    pub ports: (u16, u16),
    /// Networks the packet may come from; empty: any peer.
    pub sources: Vec<(IpAddr, u8)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterProtocol {
    Tcp,
    Udp,
    Icmp,
}
