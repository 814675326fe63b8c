//! kubernetes.yml: what the agent is given on a node. tests/kubernetes holds it to Kubernetes' own schemas.

use serde::Deserialize as _;
use yaml_serde::Value;

use crate::{project, strings};

fn daemon_set() -> Value {
    let text = std::fs::read_to_string(project("docker/kubernetes.yml")).unwrap();
    let documents: Vec<Value> = yaml_serde::Deserializer::from_str(&text).map(|one| Value::deserialize(one).unwrap()).collect();
    let kinds: Vec<_> = documents.iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Namespace", "DaemonSet"]);
    assert_eq!(documents[0]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "privileged");
    documents[1].clone()
}

#[test]
fn an_agent_reads_each_node_and_can_do_nothing_else() {
    let set = daemon_set();
    let pod = &set["spec"]["template"]["spec"];
    assert_eq!(set["spec"]["selector"]["matchLabels"], set["spec"]["template"]["metadata"]["labels"]);
    assert_eq!((&pod["hostNetwork"], &pod["automountServiceAccountToken"]), (&true.into(), &false.into()));
    assert_eq!(pod["tolerations"][0]["operator"], "Exists");
    let agent = &pod["containers"][0];
    let security = &agent["securityContext"];
    assert_eq!(
        (&security["readOnlyRootFilesystem"], &security["allowPrivilegeEscalation"], &security["privileged"]),
        (&true.into(), &false.into(), &false.into())
    );
    assert_eq!(
        (strings(&security["capabilities"]["drop"]), &security["seccompProfile"]["type"]),
        (vec!["ALL".to_owned()], &"RuntimeDefault".into())
    );
    let mount = &agent["volumeMounts"][0];
    assert_eq!(
        (&mount["mountPath"], &mount["readOnly"], &mount["mountPropagation"]),
        (&"/host".into(), &true.into(), &"HostToContainer".into())
    );
    assert_eq!((&pod["volumes"][0]["name"], &pod["volumes"][0]["hostPath"]["path"]), (&mount["name"], &"/".into()));
    for (probe, path) in [("livenessProbe", "/-/healthy"), ("readinessProbe", "/-/ready")] {
        assert_eq!(agent[probe]["httpGet"]["path"], path);
    }
    assert!(agent["resources"]["limits"]["memory"].is_string() && agent["resources"]["limits"]["cpu"].is_string());
}

#[test]
fn its_flags_are_those_of_the_program() {
    let args = strings(&daemon_set()["spec"]["template"]["spec"]["containers"][0]["args"]);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_stack-exporter"));
    crate::run(command.arg("--config.check").args(args));
}
