//! Kubernetes' runtime interface as a kubelet speaks it: pods and containers are made by hand-made messages, sent with curl.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::wait_for;

/// A server of the interface, by its socket.
pub struct Cri {
    pub socket: PathBuf,
}

/// A pod whose containers use the host's network, below a cgroup as kubelet makes it.
pub struct Pod {
    pub name: String,
    pub uid: String,
    pub id: String,
    /// What it was made of, which its containers are told as well.
    config: Vec<u8>,
}

impl Pod {
    /// The cgroup of its sandbox or of a container in it.
    pub fn cgroup(&self, id: &str) -> String {
        format!("/kubepods/pod{}/{id}", self.uid)
    }
}

impl Drop for Pod {
    /// kubelet removes a pod's cgroup, which is empty by now.
    fn drop(&mut self) {
        for hierarchy in std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            let _ = std::fs::remove_dir(hierarchy.path().join("kubepods").join(format!("pod{}", self.uid)));
        }
    }
}

impl Cri {
    /// Starts a pod in the namespace `shop`.
    pub fn pod(&self, name: &str, uid: &str) -> Pod {
        let metadata = [text(1, name), text(2, uid), text(3, "shop")].concat();
        let on_host = nested(1, &number(1, NODE));
        let linux = [text(1, &format!("/kubepods/pod{uid}")), nested(2, &on_host)].concat();
        let labels = entry(6, "io.kubernetes.pod.name", name);
        let config = [nested(1, &metadata), labels, nested(8, &linux)].concat();
        let answer = self.ask("RunPodSandbox", &nested(1, &config));
        Pod { name: name.to_owned(), uid: uid.to_owned(), id: id(&answer), config }
    }

    /// Starts a container of `busybox:test` in a pod, the `attempt`th of its name after the first, and returns its id. A `limit` of 0 is none.
    pub fn container(&self, pod: &Pod, name: &str, attempt: u64, limit: u64, command: &[&str]) -> String {
        let metadata = [text(1, name), number(2, attempt)].concat();
        let words: Vec<u8> = command.iter().flat_map(|word| text(3, word)).collect();
        let on_host = nested(3, &number(1, NODE));
        let linux = [nested(1, &number(4, limit)), nested(2, &on_host)].concat();
        let image = nested(2, &text(1, "docker.io/library/busybox:test"));
        let labels = entry(9, "io.kubernetes.container.name", name);
        let config = [nested(1, &metadata), image, words, labels, nested(15, &linux)].concat();
        let answer = self.ask("CreateContainer", &[text(1, &pod.id), nested(2, &config), nested(3, &pod.config)].concat());
        let id = id(&answer);
        self.ask("StartContainer", &text(1, &id));
        id
    }

    /// SIGKILL; the container is still told of.
    pub fn stop(&self, container: &str) {
        self.ask("StopContainer", &text(1, container));
    }

    /// Removes a container, which it may have to kill.
    pub fn remove(&self, container: &str) {
        self.ask("RemoveContainer", &text(1, container));
    }

    /// Ends and removes a pod and its containers.
    pub fn end(&self, pod: Pod) {
        self.ask("StopPodSandbox", &text(1, &pod.id));
        self.ask("RemovePodSandbox", &text(1, &pod.id));
    }

    /// The answer's message; the call must succeed, once the server is ready.
    fn ask(&self, method: &str, message: &[u8]) -> Vec<u8> {
        let (mut answer, mut head) = Default::default();
        wait_for(method, Duration::from_secs(60), || {
            (answer, head) = self.attempt(method, message);
            !head.contains("server is not initialized yet")
        });
        assert!(head.contains("grpc-status: 0"), "{method}: {head}");
        answer[5..].to_vec()
    }

    /// What the server answers, and its head and trailer.
    fn attempt(&self, method: &str, message: &[u8]) -> (Vec<u8>, String) {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--http2-prior-knowledge", "--max-time", "60", "--data-binary", "@-", "--dump-header", "/dev/stderr"]);
        curl.args(["-H", "content-type: application/grpc", "-H", "te: trailers", "--unix-socket"]).arg(&self.socket);
        curl.arg(format!("http://localhost/runtime.v1.RuntimeService/{method}"));
        let mut child = curl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&[&[0][..], &length, message].concat()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.stdout, String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// A pod's or a container's network is the host's.
const NODE: u64 = 2;

/// The id in the first field of an answer.
fn id(answer: &[u8]) -> String {
    String::from_utf8(answer[2..2 + usize::from(answer[1])].to_vec()).unwrap()
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
    bytes
}

fn nested(field: u64, message: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(message.len() as u64), message.to_vec()].concat()
}

fn text(field: u64, text: &str) -> Vec<u8> {
    nested(field, text.as_bytes())
}

fn number(field: u64, number: u64) -> Vec<u8> {
    [varint(field << 3), varint(number)].concat()
}

/// One of a map of texts.
fn entry(field: u64, key: &str, value: &str) -> Vec<u8> {
    nested(field, &[text(1, key), text(2, value)].concat())
}
