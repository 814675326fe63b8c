//! What a found server is called: the same after its container was made anew.

use std::collections::{BTreeMap, BTreeSet};

use super::container::Container;

/// The longest name, in characters.
const LONGEST: usize = 128;

/// `wanted` if there is one, or `<project>/<service>` of Compose, `<service>.<slot>` of Swarm, or the container's own name.
pub(super) fn plain(wanted: Option<&str>, container: &Container) -> String {
    let label = |key: &str| container.labels.get(key).map(|text| tame(text)).filter(|text| !text.is_empty());
    wanted
        .map(tame)
        .filter(|name| !name.is_empty())
        .or_else(|| {
            let service = label("com.docker.swarm.service.name")?;
            // `shop_db.1.t4sk`; of a service with a task on each node, `shop_db.n0de.t4sk`: a target of this node by the service's name alone.
            let task = label("com.docker.swarm.task.name").unwrap_or_default();
            let slot =
                task.strip_prefix(&service).and_then(|rest| rest.strip_prefix('.')?.split('.').next()?.parse::<u32>().ok());
            Some(slot.map_or_else(|| service.clone(), |slot| format!("{service}.{slot}")))
        })
        .or_else(|| {
            let (project, service) = (label("com.docker.compose.project")?, label("com.docker.compose.service")?);
            Some(match label("com.docker.compose.container-number").as_deref() {
                None | Some("1") => format!("{project}/{service}"),
                Some(number) => format!("{project}/{service}.{number}"),
            })
        })
        .unwrap_or_else(|| tame(&container.name))
}

/// Whether a stopped container of this kind has a successor, or will never be started again: Swarm makes new ones.
pub(super) fn is_of_swarm(container: &Container) -> bool {
    container.labels.contains_key("com.docker.swarm.task.id")
}

/// A text that can be a name anywhere: one line, not too long.
fn tame(text: &str) -> String {
    text.trim().chars().take(LONGEST).map(|c| if c.is_control() { '_' } else { c }).collect()
}

/// One name each, in the order of `containers`, which is that of their age. The first of a name has it, unless it is among those `taken`;
/// the others are told apart by the container's name, of which an engine has one only.
pub(super) fn distinct(names: Vec<(String, &Container)>, taken: &BTreeSet<String>) -> BTreeMap<String, String> {
    let mut by_id = BTreeMap::new();
    let mut used = taken.clone();
    for (mut name, container) in names {
        if used.contains(&name) {
            name = format!("{name}@{}", tame(&container.name));
        }
        if used.contains(&name) {
            name = format!("{name}@{}", container.id.get(..12).unwrap_or_default());
        }
        used.insert(name.clone());
        by_id.insert(container.id.clone(), name);
    }
    by_id
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(id: &str, labels: &[(&str, &str)]) -> Container {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Container { id: id.into(), name: format!("c-{id}"), labels, ..Container::default() }
    }

    #[test]
    fn names_outlive_containers() {
        let swarm = |task| container("a", &[("com.docker.swarm.service.name", "shop_db"), ("com.docker.swarm.task.name", task)]);
        let compose = |number| {
            let names = [("com.docker.compose.project", "shop"), ("com.docker.compose.service", "db")];
            container("a", &[names[0], names[1], ("com.docker.compose.container-number", number)])
        };
        assert_eq!(plain(None, &swarm("shop_db.2.abc")), "shop_db.2");
        assert_eq!(plain(None, &swarm("shop_db.n0de.abc")), "shop_db");
        assert_eq!([plain(None, &compose("1")), plain(None, &compose("2"))], ["shop/db", "shop/db.2"]);
        assert_eq!(plain(None, &container("a", &[("com.docker.compose.project", "shop")])), "c-a");
        assert_eq!(plain(Some("main"), &compose("1")), "main");
        assert_eq!(plain(Some(" \n"), &compose("1")), "shop/db");
        assert_eq!(plain(Some("a\nb"), &compose("1")), "a_b");
        assert_eq!(plain(Some(&"é".repeat(100_000)), &compose("1")).chars().count(), LONGEST);
    }

    #[test]
    fn the_second_of_a_name_gets_its_containers_too() {
        let (a, b, c) = (container("a", &[]), container("b", &[]), container("c", &[]));
        let names = distinct(vec![("x".into(), &a), ("x".into(), &b), ("y".into(), &c)], &["y".to_owned()].into());
        assert_eq!(names.into_values().collect::<Vec<_>>(), ["x", "x@c-b", "y@c-c"]);
    }
}
