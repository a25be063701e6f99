//! What `show` shows: a namespace's links, addresses, routes, neighbours, chains and listening sockets, needing nothing
//! inside an image.

use crate::error::Result;
use crate::kernel::Place;
pub use crate::kernel::listening::Listening;
pub use crate::kernel::neigh::Neighbour;
use crate::kernel::snapshot::Snapshot;
pub use crate::kernel::snapshot::{Address, Link, Route};
use crate::kernel::sockets::Sockets;
pub use crate::kernel::tables::Chain;
use crate::kernel::{listening, neigh, tables};
use crate::types::json::json_object;
use std::mem::take;

/// A namespace at one moment.
#[derive(Debug)]
pub struct NamespaceView {
    /// Its links, by index.
    pub links: Vec<Link>,
    /// Their addresses.
    pub addresses: Vec<Address>,
    /// The routes of the main table.
    pub routes: Vec<Route>,
    /// Who is known at the other ends of the links.
    pub neighbours: Vec<Neighbour>,
    /// The chains of nf_tables.
    pub chains: Vec<Chain>,
    /// The sockets that wait for somebody.
    pub sockets: Vec<Listening>,
}
json_object!(NamespaceView {
    links,
    addresses,
    routes,
    neighbours,
    chains,
    sockets
});

/// Looks at a namespace.
pub fn view(place: &Place, sockets: &mut Sockets) -> Result<NamespaceView> {
    let mut now = Snapshot::of(sockets.route(place)?)?;
    let neighbours = neigh::list(sockets.route(place)?)?;
    let look = || (tables::list(), listening::read());
    let (chains, listening) = match place {
        Place::Host => look(),
        Place::Sandbox(name) => sockets.within(name, look)?,
    };
    Ok(NamespaceView {
        links: take(&mut now.links),
        addresses: take(&mut now.addresses),
        routes: take(&mut now.routes),
        neighbours,
        chains: chains?,
        sockets: listening,
    })
}
