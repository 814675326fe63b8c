//! Certificates, as openssl makes them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A folder of certificates (`name.crt`) and keys (`name.key`).
pub struct Pki {
    folder: tempfile::TempDir,
}

impl Pki {
    /// With a `ca`, a `server` of that CA for this machine, and another server's certificate, `next`.
    pub fn new() -> Pki {
        let pki = Pki { folder: tempfile::tempdir().unwrap() };
        // openssl's own configuration would make every certificate one of a CA.
        pki.write("openssl.cnf", "[req]\ndistinguished_name = name\n[name]\n");
        pki.issue("ca", None, "basicConstraints=critical,CA:TRUE");
        for server in ["server", "next"] {
            pki.issue(server, Some("ca"), "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1");
        }
        pki
    }

    /// What openssl's client says after a handshake with these arguments.
    pub fn s_client(&self, port: u16, args: &[&str]) -> String {
        let mut client = Command::new("openssl");
        client.args(["s_client", "-connect", &format!("localhost:{port}"), "-CAfile", "ca.crt"]).args(args);
        let output = client.current_dir(self.folder()).stdin(Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    /// A certificate with an extension, signed by `by` or by itself, on the curve P-256.
    pub fn issue(&self, name: &str, by: Option<&str>, extension: &str) {
        self.issue_with(&["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], name, by, extension);
    }

    /// The same with a key of another kind, as `-newkey` takes it.
    pub fn issue_with(&self, key: &[&str], name: &str, by: Option<&str>, extension: &str) {
        let mut openssl = Command::new("openssl");
        openssl.arg("req").arg("-config").arg(self.path("openssl.cnf"));
        openssl.args(["-x509", "-nodes", "-days", "2", "-newkey"]).args(key);
        openssl.args(["-subj", &format!("/CN={name}"), "-addext", extension]);
        openssl.arg("-keyout").arg(self.path(&format!("{name}.key"))).arg("-out").arg(self.path(&format!("{name}.crt")));
        if let Some(by) = by {
            openssl.arg("-CA").arg(self.path(&format!("{by}.crt"))).arg("-CAkey").arg(self.path(&format!("{by}.key")));
        }
        run(&mut openssl);
    }

    /// Writes the key `from` to `to` as openssl does with these arguments.
    pub fn convert(&self, args: &[&str], from: &str, to: &str) {
        run(Command::new("openssl").args(args).arg("-in").arg(self.path(from)).arg("-out").arg(self.path(to)));
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path(file), text).unwrap();
    }

    /// The text of a file, for a YAML block of this indentation.
    pub fn inline(&self, file: &str, indentation: &str) -> String {
        let text = std::fs::read_to_string(self.path(file)).unwrap();
        text.lines().map(|line| format!("{indentation}{line}\n")).collect()
    }

    /// Writes `web.yml` and gives the flag that names it.
    pub fn config(&self, text: &str) -> String {
        self.write("web.yml", text);
        format!("--web.config.file={}", self.path("web.yml").display())
    }

    /// curl's standard output and error for `path` on localhost, trusting the CA; `args` come before the address.
    pub fn curl(&self, args: &[&str], port: u16, path: &str) -> (String, String) {
        let mut curl = Command::new("curl");
        curl.current_dir(self.folder()).args(["-sS", "--noproxy", "*", "--max-time", "30", "--cacert", "ca.crt"]).args(args);
        let output = curl.arg(format!("https://localhost:{port}{path}")).output().unwrap();
        (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// The status that curl gets for `/-/healthy`: 0 where there is no answer.
    pub fn status(&self, args: &[&str], port: u16) -> u16 {
        let args = [&["-o", "/dev/null", "-w", "%{http_code}"], args].concat();
        self.curl(&args, port, "/-/healthy").0.parse().unwrap()
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
