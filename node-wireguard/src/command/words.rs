//! The command line.

use crate::device::MAX_SHARDS;

/// Longest name of an interface that the kernel takes, bytes.
const NAME_BYTES: usize = 15;

pub const HELP: &str = "\
Usage: node-wireguard [-f] INTERFACE

Makes a WireGuard interface and serves it until the interface is deleted, its
socket is removed, or the process is told to end (SIGTERM, SIGINT).

  -f, --foreground   stay in the foreground (else it returns as soon as the
                     interface can be set up)
  -h, --help         this text
      --threads N    threads that move packets, 1 (the default) to 8: on machines with
                     many cores and many peers
      --version      the version

Set it up by the usual tools:
  wg set wg0 private-key FILE peer KEY endpoint HOST:PORT allowed-ips 10.0.0.0/24
  ip address add 10.0.0.1/24 dev wg0 && ip link set wg0 up
  ip link delete wg0                       the end of it
or all at once, from /etc/wireguard/wg0.conf:
  WG_QUICK_USERSPACE_IMPLEMENTATION=node-wireguard wg-quick up wg0

Environment:
  LOG_LEVEL                  silent, error (the default) or verbose, on standard error
  WG_PROCESS_FOREGROUND=1    the same as -f

It needs root (CAP_NET_ADMIN) and /dev/net/tun; the socket for the tools is
/var/run/wireguard/INTERFACE.sock.
";

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Words {
    Help,
    Version,
    Serve { interface: String, foreground: bool, threads: usize },
}

impl Words {
    /// # Errors
    /// One sentence about the word that cannot be.
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut interface, mut foreground, mut threads) = (None, false, 1);
        let mut words = words;
        while let Some(word) = words.next() {
            match word.as_str() {
                "-h" | "--help" => return Ok(Self::Help),
                "-V" | "--version" => return Ok(Self::Version),
                "-f" | "--foreground" => foreground = true,
                "--threads" => {
                    let number = words.next().and_then(|word| word.parse().ok());
                    threads =
                        number.filter(|number| (1..=MAX_SHARDS).contains(number)).ok_or_else(
                            || format!("--threads takes a number from 1 to {MAX_SHARDS}"),
                        )?;
                }
                option if option.starts_with('-') => {
                    return Err(format!("there is no option {option}"));
                }
                _ if interface.is_some() => return Err(format!("{word}: one interface at a time")),
                name if is_name(name) => interface = Some(word),
                _ => {
                    return Err(format!(
                        "{word:?} is no name of an interface (1 to {NAME_BYTES} letters, digits, or . _ + = -)"
                    ));
                }
            }
        }
        let interface = interface.ok_or("which interface? (for example wg0)")?;
        Ok(Self::Serve { interface, foreground, threads })
    }
}

/// As `wg-quick` has them: so it is a file name and no pattern, too.
fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_=+.-".contains(&byte);
    (1..=NAME_BYTES).contains(&name.len()) && name.bytes().all(fits) && name != "." && name != ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Words, String> {
        Words::parse(words.iter().map(|word| (*word).to_owned()))
    }

    #[test]
    fn words_of_wireguard_go_are_understood() {
        let serve =
            |foreground| Words::Serve { interface: "wg0".to_owned(), foreground, threads: 1 };
        assert_eq!(parse(&["wg0"]), Ok(serve(false)));
        assert_eq!(parse(&["-f", "wg0"]), Ok(serve(true)));
        assert_eq!(parse(&["wg0", "--foreground"]), Ok(serve(true)));
        let four = Words::Serve { interface: "wg0".to_owned(), foreground: false, threads: 4 };
        assert_eq!(parse(&["--threads", "4", "wg0"]), Ok(four));
        assert_eq!(parse(&["--version"]), Ok(Words::Version));
        assert_eq!(parse(&["-f", "--help"]), Ok(Words::Help));
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_reason() {
        assert!(parse(&[]).unwrap_err().contains("which interface"));
        assert!(parse(&["wg0", "wg1"]).unwrap_err().contains("one interface"));
        for number in ["0", "9", "many"] {
            assert!(parse(&["--threads", number, "wg0"]).unwrap_err().contains("1 to 8"));
        }
        assert!(parse(&["--frob", "wg0"]).unwrap_err().contains("--frob"));
        for name in ["", "..", "a/b", "wg%d", "wg 0", "a-name-that-is-too-long"] {
            assert!(parse(&[name]).unwrap_err().contains("no name of an interface"), "{name}");
        }
    }
}
