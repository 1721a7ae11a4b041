//! `node-wireguard [-f] INTERFACE`: see `--help`.

fn main() -> std::process::ExitCode {
    node_wireguard::command::run(std::env::args().skip(1))
}
