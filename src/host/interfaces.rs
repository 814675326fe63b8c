//! `--host.interfaces-include` and `--host.interfaces-exclude`: one filter for every collector whose series belong to network interfaces.
//!
//! It stands beside the collectors' own filters: an interface is shown where both let it pass. A host with many virtual interfaces says
//! once what node_exporter must be told for netdev, netclass, arp, … apart.

use super::filter::{Filter, Pair};
use crate::settings::{Error, Flag, Settings};

const INTERFACES: Pair = Pair::new(
    Flag::text(
        "host.interfaces-include",
        "",
        "In all collectors of network interfaces only those that match this pattern; excludes interfaces-exclude.",
    ),
    Flag::text(
        "host.interfaces-exclude",
        "",
        "In no collector of network interfaces those that match this pattern; excludes interfaces-include.",
    ),
);

/// The two flags.
pub(super) static FLAGS: [Flag; 2] = [INTERFACES.include, INTERFACES.exclude];

/// The filter, to be joined to a collector's own with [`Filter::and`].
pub(super) fn filter(settings: &Settings) -> Result<Filter, Error> {
    INTERFACES.one(settings)
}
