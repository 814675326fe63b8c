//! A real server of Kubernetes' runtime interface, as CRI-O serves it: containerd's, asked by nothing but that interface.

use std::time::{Duration, Instant};

use crate::matrix::HOG;
use crate::support::Agent;
use crate::support::containerd::Containerd;
use crate::support::exposition::Exposition;

const PAGE: &str = "/metrics/containers";
const SOON: Duration = Duration::from_secs(60);
const IMAGE: &str = "docker.io/library/busybox:test";

type Labels<'a> = [(&'a str, &'a str)];

/// Scrapes until the page shows all of these values.
fn shows(agent: &Agent, expected: &[(&str, &Labels<'_>, f64)]) -> Exposition {
    let end = Instant::now() + SOON;
    loop {
        let page = agent.scrape(PAGE);
        let missing: Vec<_> =
            expected.iter().filter(|(family, labels, value)| page.value(family, labels) != Some(*value)).collect();
        if missing.is_empty() {
            return page;
        }
        assert!(Instant::now() < end, "{missing:?}\n{}", agent.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn pods_of_a_real_server_are_followed() {
    let mut containerd = Containerd::start();
    let (address, cri) = (containerd.address(), containerd.cri());
    let uid = format!("6e1c{}", std::process::id());
    let pod = cri.pod("shop", &uid);
    let first = cri.container(&pod, "web", 0, 0, &["/bin/sleep", "600"]);
    let agent = Agent::start(&["--docker=", &format!("--containers.engines=cri-o={address}")], &[]);

    // As kubelet calls them: the sandbox that holds the pod's network, and its first container.
    let (sandbox, cgroup) = (pod.cgroup(&pod.id), pod.cgroup(&first));
    let called = |container: &str, attempt: u8| format!("k8s_{container}_shop_shop_{uid}_{attempt}");
    let names = [("POD", 0), ("web", 0), ("web", 1), ("hog", 0), ("late", 0)];
    let [pause, web, again, hog, late] = names.map(|(name, attempt)| called(name, attempt));
    let pause = [("id", &*sandbox), ("name", &*pause), ("container_label_io_kubernetes_pod_name", "shop")];
    let label = ("container_label_io_kubernetes_container_name", "web");
    let web = [("id", &*cgroup), ("name", &*web), ("image", IMAGE), label];
    let engine = [("engine", "cri-o"), ("address", address.as_str())];
    let is_up = |up: f64| ("container_engine_up", &engine[..], up);
    let page = shows(&agent, &[is_up(1.0), ("container_threads", &pause, 1.0), ("container_threads", &web, 1.0)]);
    for labels in [&pause[..], &web] {
        assert_eq!(page.value("container_state", &[labels, &[("state", "running")]].concat()), Some(1.0));
        let network = page.all("container_network_receive_bytes_total").filter(|series| series.has(labels));
        assert_eq!(network.count(), 0, "it is the host's");
    }
    assert_eq!(page.value("container_restart_count", &web), Some(0.0));

    // It ends, and another one follows it; a third has too little memory.
    cri.stop(&first);
    let second = pod.cgroup(&cri.container(&pod, "web", 1, 0, &["/bin/sleep", "600"]));
    let killed = pod.cgroup(&cri.container(&pod, "hog", 0, 8 << 20, &["/bin/sh", "-c", HOG]));
    let again = [("id", &*second), ("name", &*again), ("image", IMAGE), label];
    let hog = [("id", &*killed), ("name", &*hog), ("image", IMAGE)];
    shows(
        &agent,
        &[
            ("container_exit_code", &web, 137.0),
            ("container_state", &[&web[..], &[("state", "exited")]].concat(), 1.0),
            ("container_threads", &again, 1.0),
            ("container_restart_count", &again, 1.0),
            ("container_exit_code", &hog, 137.0),
            ("container_oom_events_total", &hog, 1.0),
        ],
    );

    cri.remove(&first);
    containerd.kill();
    let page = shows(&agent, &[is_up(0.0)]);
    assert_eq!(page.value("container_threads", &again), Some(1.0), "what was known is kept");
    containerd.restart();
    let newest = pod.cgroup(&cri.container(&pod, "late", 0, 0, &["/bin/sleep", "600"]));
    let page = shows(&agent, &[is_up(1.0), ("container_threads", &[("id", &newest), ("name", &late)], 1.0)]);
    assert!(page.series.iter().all(|series| !series.has(&web[..2])), "what was removed is gone");
    cri.end(pod);
}
