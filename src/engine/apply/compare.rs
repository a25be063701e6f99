//! What of a container, a sandbox or a network is not as a line of `apply` asks for it.
//!
//! What a line leaves open may be anything that leaving it open could have come to; what it no longer says is back at
//! its default.

use crate::engine::container::environment;
use crate::engine::ipam;
use crate::engine::record::{ContainerRecord, Names, NetworkRecord, SandboxRecord};
use crate::engine::sandbox::other_endpoint;
use crate::engine::spec::{ContainerSpec, EndpointSpec, Image, NetworkSpec};
use crate::types::Mac;
use crate::types::json::{self, Json};

/// What differs, in words.
pub(super) type Differs = Vec<&'static str>;

/// The words of those that are not the same.
fn differing(all: &[(bool, &'static str)]) -> Differs {
    let other = all.iter().filter(|(same, _)| !same);
    other.map(|(_, word)| *word).collect()
}

/// A container, without its sandbox and its ports. `own` is whether it asks for a sandbox of its own.
pub(super) fn container(
    asked: &ContainerSpec,
    image: &Image,
    own: bool,
    now: &ContainerRecord,
) -> Differs {
    let named = asked.hostname.is_some() || !own || now.hostname == now.id.short();
    differing(&[
        (*image == now.image, "image"),
        (asked.command == now.command, "command"),
        (
            environment(&asked.env, &now.hostname) == now.env,
            "environment",
        ),
        (asked.workdir == now.workdir, "working directory"),
        (asked.user == now.user, "user"),
        (named, "host name"),
        (asked.auto_remove == now.auto_remove, "--rm"),
        (asked.interactive == now.interactive, "--interactive"),
        (asked.terminal == now.terminal, "--tty"),
        (asked.log_max == now.log_max, "--log-max-size"),
        (same_text(&asked.labels, &now.labels), "label"),
        (asked.settings == now.settings, "setting"),
    ])
}

/// Whether both are the same as JSON, which is there to be written anyway.
fn same_text(one: &dyn Json, other: &dyn Json) -> bool {
    json::to_text(one) == json::to_text(other)
}

/// What is asked of a sandbox.
pub(super) struct Attachment<'a> {
    pub network: Option<&'a str>,
    pub hostname: Option<&'a str>,
    pub names: &'a Names,
    pub endpoint: &'a EndpointSpec,
}

/// A sandbox, without its ports: what differs here a container cannot take over.
pub(super) fn sandbox(asked: &Attachment, now: &SandboxRecord) -> Differs {
    let endpoint = now.endpoint.as_ref();
    let network = endpoint.map(|endpoint| endpoint.network.as_str());
    // Without --mac-address it is the one that belongs to the first address.
    let mac = asked.endpoint.mac.is_some()
        || endpoint.is_none_or(|e| e.addresses.first().is_none_or(|a| Mac::of(a.addr) == e.mac));
    let spoof = endpoint.is_some_and(|endpoint| endpoint.allow_spoof);
    let attached = network == asked.network;
    differing(&[
        (attached, "network"),
        (
            asked.hostname.is_none_or(|name| name == now.hostname),
            "host name",
        ),
        (*asked.names == now.names, "name or DNS setting"),
        (
            !attached
                || mac
                    && spoof == asked.endpoint.allow_spoof
                    && other_endpoint(now, asked.endpoint).is_none(),
            "address",
        ),
    ])
}

/// A network.
pub(super) fn network(asked: &NetworkSpec, now: &NetworkRecord) -> Differs {
    let family = |ipv4: bool| {
        let mut subnets = asked.subnets.iter();
        let subnet = subnets.find(|subnet| subnet.addr.is_ipv4() == ipv4);
        let chosen = if ipv4 { !asked.no_ipv4 } else { asked.ipv6 };
        let Some(part) = now.subnet(ipv4) else {
            return subnet.is_none() && !chosen;
        };
        let mut gateways = asked.gateways.iter();
        let gateway = gateways.find(|gateway| gateway.is_ipv4() == ipv4);
        let mut ranges = asked.ranges.iter();
        let range = ranges.find(|range| range.addr.is_ipv4() == ipv4);
        (subnet.is_some() || chosen)
            && subnet.is_none_or(|subnet| *subnet == part.subnet)
            && gateway.copied().unwrap_or(ipam::gateway(part.subnet)) == part.gateway
            && range == part.range.as_ref()
    };
    differing(&[
        (family(true), "IPv4 subnet"),
        (family(false), "IPv6 subnet"),
        (asked.internal == now.internal, "--internal"),
        (asked.no_masquerade == now.no_masquerade, "masquerading"),
        (asked.isolate == now.isolate, "--isolate"),
        (asked.no_forwarding == now.no_forwarding, "--no-forwarding"),
        (asked.mtu.is_none_or(|mtu| mtu == now.mtu), "MTU"),
        (
            asked
                .interface
                .as_ref()
                .is_none_or(|link| *link == now.link),
            "interface",
        ),
        (asked.labels == now.labels, "label"),
    ])
}
