//! Reads `/sys/class/net/bonding_masters` and the bonds it names: how many interfaces each has, and how many of them have a link. Emits
//! `node_bonding_slaves` and `node_bonding_active`.

use super::filter::Filter;
use super::interfaces;
use crate::exposition::{Family, Samples, from_usize};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System};

static SLAVES: Family = Family::gauge("node_bonding_slaves", "Interfaces of the bond: bonding/slaves.");
static ACTIVE: Family = Family::gauge("node_bonding_active", "Those that have a link: bonding_slave/mii_status is up.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "bonding",
    enabled: Flag::switch("collector.bonding", true, "Interfaces of bonds."),
    flags: &[],
    new: |settings| Ok(Box::new(Bonding { filter: interfaces::filter(settings)? })),
};

#[derive(Default)]
struct Bonding {
    filter: Filter,
}

impl Collector for Bonding {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let path = system.roots.sys("class/net/bonding_masters");
        let masters = String::from_utf8_lossy(system.attribute(&path)?).into_owned();
        for master in masters.split_ascii_whitespace().filter(|master| self.filter.passes(master)) {
            let folder = format!("class/net/{master}");
            // A bond that is gone already.
            let Some(slaves) = system.label(format!("{folder}/bonding/slaves")) else { continue };
            let mut is_up = |slave: &str| {
                // The link to the interface was called slave_ before Linux 3.10.
                let status = ["lower", "slave"]
                    .iter()
                    .find_map(|kind| system.label(format!("{folder}/{kind}_{slave}/bonding_slave/mii_status")));
                status.as_deref() == Some("up")
            };
            let active = slaves.split_ascii_whitespace().filter(|slave| is_up(slave)).count();
            out.family(&SLAVES).add([("master", master)], from_usize(slaves.split_ascii_whitespace().count()));
            out.family(&ACTIVE).add([("master", master)], from_usize(active));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Page;
    use crate::system::Roots;

    #[test]
    fn a_bond_or_an_interface_that_is_gone_costs_itself() {
        let dir = tempfile::tempdir().unwrap();
        let net = dir.path().join("class/net");
        std::fs::create_dir_all(net.join("bond0/bonding")).unwrap();
        std::fs::create_dir_all(net.join("bond0/lower_eth0/bonding_slave")).unwrap();
        std::fs::write(net.join("bonding_masters"), "bond0 gone\n").unwrap();
        std::fs::write(net.join("bond0/bonding/slaves"), "eth0 eth1\n").unwrap();
        std::fs::write(net.join("bond0/lower_eth0/bonding_slave/mii_status"), "up\n").unwrap();
        let mut system = System::new(Roots { sys: dir.path().into(), ..Roots::default() });
        let mut out = Samples::new();
        Bonding::default().collect(&mut system, &mut out).unwrap();
        let page = String::from_utf8(Page::new(vec![out]).to_vec()).unwrap();
        let samples: Vec<_> = page.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(samples, ["node_bonding_active{master=\"bond0\"} 1", "node_bonding_slaves{master=\"bond0\"} 2"]);
    }

    #[test]
    fn a_host_without_bonds_is_no_failure() {
        let dir = tempfile::tempdir().unwrap();
        let mut system = System::new(Roots { sys: dir.path().into(), ..Roots::default() });
        assert!(Bonding::default().collect(&mut system, &mut Samples::new()).unwrap_err().is_absence());
    }
}
