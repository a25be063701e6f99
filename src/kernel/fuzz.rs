//! What the fuzz target `netlink` in tests/fuzz calls: the readers of what the kernel says, behind conversations with one
//! that says anything.

use super::{conntrack, elements, foreign, nft, notice, snapshot, sockets};
use crate::netlink::{self, Message};
use crate::types::IfName;

/// Datagrams from the kernel.
pub fn netlink(bytes: &[u8]) {
    let Ok(link) = "netcell0".parse::<IfName>() else {
        return;
    };
    let mut heard = notice::Heard::default();
    let read = &mut |message: &Message| {
        heard.table(message);
        heard.link(message);
        let _ = elements::chain_of(message);
        let _ = nft::read_names(message);
        let _ = snapshot::read_link(message);
        let _ = snapshot::read_address(message);
        let _ = snapshot::read_route(message);
        let _ = sockets::read_link(message);
        let _ = conntrack::read(message);
        let _ = foreign::chain(message);
        let _ = foreign::rule(message, "filter", &link);
    };
    netlink::messages(bytes).for_each(|message| read(&message));
    netlink::fuzz::exchange(bytes, read);
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_of_what_a_kernel_says_does_no_harm() {
        crate::error::replay("netlink", super::netlink);
    }
}
