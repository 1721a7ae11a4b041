//! Interfaces by name and by number, as the zone of a link-local address has them.

use std::ffi::{CStr, CString};

/// The number of the interface with this name, or the number itself; nothing if there is no such interface.
pub fn interface_index(zone: &str) -> Option<u32> {
    if let Ok(number) = zone.parse() {
        return Some(number);
    }
    let name = CString::new(zone).ok()?;
    // SAFETY: a C string that outlives the call.
    Some(unsafe { libc::if_nametoindex(name.as_ptr()) }).filter(|index| *index > 0)
}

/// The name of an interface.
pub fn interface_name(index: u32) -> Option<String> {
    let mut name = [0; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the length that the call may write, and outlives it.
    if unsafe { libc::if_indextoname(index, name.as_mut_ptr()) }.is_null() {
        return None;
    }
    // SAFETY: after success the buffer holds a C string.
    Some(unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_of_interfaces() {
        let index = interface_index("lo").unwrap();
        assert_eq!(interface_name(index).as_deref(), Some("lo"));
        assert_eq!(interface_index(&index.to_string()), Some(index));
        assert_eq!((interface_index("no-such-one"), interface_name(0)), (None, None));
    }
}
