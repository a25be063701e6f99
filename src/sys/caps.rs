//! Capabilities: what a container's processes keep of root's power. See capabilities(7).

use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets};

/// Takes everything but `keep` out of the bounding set, for good.
pub fn bound(keep: CapabilitySet) -> Result<(), Errno> {
    for number in 0..64 {
        let one = CapabilitySet::from_bits_retain(1 << number);
        if !keep.contains(one) {
            match rustix::thread::remove_capability_from_bounding_set(one) {
                Ok(()) => {}
                // Past the kernel's last one (prctl(2), PR_CAPBSET_DROP).
                Err(Errno::INVAL) => break,
                Err(errno) => return Err(errno),
            }
        }
    }
    Ok(())
}

/// Sets effective and permitted to what is left of `keep`, and empties the inheritable and ambient sets.
pub fn limit(keep: CapabilitySet) -> Result<(), Errno> {
    let now = rustix::thread::capabilities(None)?;
    let kept = now.permitted & keep;
    match rustix::thread::clear_ambient_capability_set() {
        Ok(()) | Err(Errno::INVAL) => {}
        Err(errno) => return Err(errno),
    }
    rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            effective: kept,
            permitted: kept,
            inheritable: CapabilitySet::empty(),
        },
    )
}
