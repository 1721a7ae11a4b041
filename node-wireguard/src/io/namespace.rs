//! Namespaces of our own: where anybody may have a TUN.

use super::fd::check;
use std::fs;
use std::io;

/// Moves the calling process, which must have one thread only, into a new user and network namespace in which it is root.
/// Fails where the machine forbids user namespaces.
pub fn enter_private() -> io::Result<()> {
    // SAFETY: getuid and getgid only return numbers.
    let (user, group) = unsafe { (libc::getuid(), libc::getgid()) };
    unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET)?;
    fs::write("/proc/self/setgroups", "deny")?; // without it nobody may map a group
    fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}

/// Moves the calling thread into a new, empty network namespace. Needs CAP_SYS_ADMIN.
pub fn enter_empty_network() -> io::Result<()> {
    unshare(libc::CLONE_NEWNET)
}

/// Lets the kernel kill the calling process when the thread that started it ends. Any change of user clears this again.
pub fn die_with_parent() -> io::Result<()> {
    // SAFETY: PR_SET_PDEATHSIG takes one plain integer.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong) }).map(drop)
}

fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: unshare takes plain flags; descriptors and memory stay shared with the other threads.
    check(unsafe { libc::unshare(flags) }).map(drop)
}

/// Runs `body` of the test with the full name `test` in a network namespace of its own: on a new thread for root, else in
/// a child under `unshare -Urn`. Where neither is allowed the test is left out, loudly.
#[cfg(test)]
pub(crate) fn in_empty_network(test: &str, body: impl FnOnce() + Send + 'static) {
    use std::process::Command;
    const INSIDE: &str = "NODE_WIREGUARD_INSIDE_NAMESPACE";
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let thread = std::thread::spawn(move || match enter_empty_network() {
        Ok(()) => {
            body();
            true
        }
        Err(_) => false,
    });
    match thread.join() {
        Ok(true) => return,
        Ok(false) => {}
        Err(panic) => std::panic::resume_unwind(panic),
    }
    let own = std::env::current_exe().unwrap();
    let mut child = Command::new("unshare");
    child.args(["-Urn"]).arg(own).args(["--exact", test, "--nocapture"]).env(INSIDE, "1");
    match child.output() {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(text.contains("1 passed"), "no test is called {test}: {text}");
        }
        Ok(output) if !String::from_utf8_lossy(&output.stderr).starts_with("unshare:") => {
            panic!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        _ => eprintln!("SKIPPED {test}: this machine allows neither root nor user namespaces"),
    }
}
