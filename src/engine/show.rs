//! What `show` shows: a namespace's links, addresses, routes and listening sockets, needing nothing inside an image.

use crate::error::Result;
use crate::kernel::Place;
use crate::kernel::listening;
pub use crate::kernel::listening::Listening;
use crate::kernel::snapshot::Snapshot;
pub use crate::kernel::snapshot::{Address, Link, Route};
use crate::kernel::sockets::Sockets;
use crate::types::json::json_object;

/// A namespace at one moment.
#[derive(Debug)]
pub struct NamespaceView {
    /// Its links, by index.
    pub links: Vec<Link>,
    /// Their addresses.
    pub addresses: Vec<Address>,
    /// The routes of the main table.
    pub routes: Vec<Route>,
    /// The sockets that wait for somebody.
    pub sockets: Vec<Listening>,
}
json_object!(NamespaceView {
    links,
    addresses,
    routes,
    sockets
});

/// Looks at a namespace.
pub fn view(place: &Place, sockets: &mut Sockets) -> Result<NamespaceView> {
    let now = Snapshot::of(sockets.route(place)?)?;
    let listening = match place {
        Place::Host => listening::read(),
        Place::Sandbox(name) => sockets.within(name, listening::read)?,
    };
    Ok(NamespaceView {
        links: now.links,
        addresses: now.addresses,
        routes: now.routes,
        sockets: listening,
    })
}
