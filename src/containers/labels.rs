//! The labels that go on a container's series.

use std::collections::BTreeMap;

use crate::discovery::Container;
use crate::exposition::Labels;
use crate::settings::{Flag, Settings};

static LABELS: Flag = Flag::list(
    "containers.labels",
    &["compose", "swarm", "kubernetes"],
    "Container labels to show as `container_label_*`: compose, swarm, kubernetes, all, none, or a label's own key.",
);

pub(super) static FLAGS: [&Flag; 1] = [&LABELS];

const COMPOSE: [&str; 3] = ["com.docker.compose.project", "com.docker.compose.service", "com.docker.compose.container-number"];
const SWARM: [&str; 7] = [
    "com.docker.stack.namespace",
    "com.docker.swarm.service.name",
    "com.docker.swarm.service.id",
    "com.docker.swarm.task.name",
    "com.docker.swarm.task.id",
    "com.docker.swarm.task",
    "com.docker.swarm.node.id",
];
const KUBERNETES: [&str; 4] =
    ["io.kubernetes.container.name", "io.kubernetes.pod.name", "io.kubernetes.pod.namespace", "io.kubernetes.pod.uid"];

/// The most labels and variables that are shown of one container, and the longest value: Docker takes megabytes.
const MOST: usize = 256;
const LONGEST: usize = 1024;

/// Which labels of containers are shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    all: bool,
    keys: Vec<String>,
}

impl Choice {
    pub(super) fn of(settings: &Settings) -> Self {
        let mut choice = Choice::default();
        // One argument may hold several words: a list on the command line and a list in the file mean the same.
        for word in settings.list(&LABELS).iter().flat_map(|words| words.split(',')).map(str::trim) {
            match word {
                "none" | "" => {}
                "all" => choice.all = true,
                "compose" => choice.keys.extend(COMPOSE.map(str::to_owned)),
                "swarm" => choice.keys.extend(SWARM.map(str::to_owned)),
                "kubernetes" => choice.keys.extend(KUBERNETES.map(str::to_owned)),
                key => choice.keys.push(key.to_owned()),
            }
        }
        choice
    }

    /// The labels of the cgroup `id` and, where it is one that an engine told of, of its container. None is empty: an empty label is
    /// the same as none to Prometheus, and most of the bytes of cAdvisor's page.
    pub(super) fn render(&self, id: &str, container: Option<&Container>) -> Labels {
        let mut labels = Labels::of(&[("id", id)]);
        let Some(container) = container else { return labels };
        for (name, value) in [("name", &container.name), ("image", &container.image)] {
            if !value.is_empty() {
                labels.push(name, value);
            }
        }
        // Two keys may become one name: the first in the order of keys that is not empty has it, at each scrape the same.
        let mut shown = BTreeMap::new();
        for (key, value) in &container.labels {
            if !value.is_empty() && (self.all || self.keys.contains(key)) {
                shown.entry(plain_name("container_label_", key)).or_insert(value);
            }
        }
        for (name, value) in &container.variables {
            if !value.is_empty() {
                shown.entry(plain_name("container_env_", &name.to_ascii_lowercase())).or_insert(value);
            }
        }
        for (name, value) in shown.into_iter().take(MOST) {
            labels.push(&name, cut(value));
        }
        labels
    }
}

/// cAdvisor's name of a container's label or variable: all but letters, digits and underscores become underscores.
fn plain_name(prefix: &str, key: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    prefix.chars().chain(key.chars().map(plain)).take(LONGEST).collect()
}

/// At most [`LONGEST`] bytes of a value.
fn cut(value: &str) -> &str {
    let end = (0..=LONGEST.min(value.len())).rev().find(|at| value.is_char_boundary(*at)).unwrap_or(0);
    value.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Origin, Setting};

    fn render(choice: &[&str], labels: &[(&str, &str)]) -> String {
        let mut settings = Settings::default();
        if !choice.is_empty() {
            settings.set(&LABELS, Origin::CommandLine, Setting::List(choice.iter().map(|word| (*word).to_owned()).collect()));
        }
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let container = Container { name: "web".into(), image: String::new(), labels, ..Container::default() };
        let labels = Choice::of(&settings).render("/docker/x", Some(&container));
        String::from_utf8(labels.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn compose_labels_are_shown_and_empty_ones_not() {
        let labels = [("com.docker.compose.service", "we\"b\n"), ("com.docker.compose.project", ""), ("maintainer", "x")];
        assert_eq!(render(&[], &labels), r#"id="/docker/x",name="web",container_label_com_docker_compose_service="we\"b\n""#);
        assert_eq!(render(&["none"], &labels), r#"id="/docker/x",name="web""#);
        assert_eq!(render(&["none,maintainer"], &labels), r#"id="/docker/x",name="web",container_label_maintainer="x""#);
    }

    #[test]
    fn variables_are_called_as_cadvisor_calls_them() {
        let variables = [("STAGE", "a\"b"), ("stage", "second"), ("EMPTY", "")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let labels = Choice::default().render("/x", Some(&Container { variables, ..Container::default() }));
        assert_eq!(String::from_utf8(labels.as_bytes().to_vec()).unwrap(), r#"id="/x",container_env_stage="a\"b""#);
    }

    #[test]
    fn labels_have_a_bound() {
        let labels: Vec<(String, String)> = (0..1000).map(|number| (format!("k{number}"), "é".repeat(1_000))).collect();
        let labels: Vec<(&str, &str)> = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let text = render(&["all"], &labels);
        assert_eq!(text.matches("container_label_").count(), MOST);
        assert!(text.len() < MOST * (LONGEST + 30), "{}", text.len());
    }

    proptest::proptest! {
        #[test]
        fn any_labels_become_names_that_prometheus_takes(labels in proptest::collection::vec((".{0,12}", ".{0,12}"), 0..12)) {
            let labels: Vec<(&str, &str)> = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            let text = format!("x{{{}}} 1\n", render(&["all"], &labels));
            let parsed = crate::exposition::parse(text.as_bytes());
            proptest::prop_assert!(parsed.is_ok(), "{text:?}");
            proptest::prop_assert_eq!(render(&["all"], &labels), render(&["all"], &labels));
        }
    }

    #[test]
    fn keys_that_become_one_name_are_told_once() {
        let labels = [("a.b", ""), ("a-b", "second"), ("a_b", "third"), ("é", "é")];
        assert_eq!(render(&["all"], &labels), r#"id="/docker/x",name="web",container_label__="é",container_label_a_b="second""#);
    }
}
