//! `--web.config.file`: what is a good file, and what is said of a bad one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::process::Command;

use support::pki::Pki;

const PAIR: &str = "cert_file: server.crt, key_file: server.key";
/// htpasswd's hash of "secret", cost 5.
const HASH: &str = "$2y$05$7qnu.5tVa6d5kU3Lz0Ex5.s4n1QpCJ.zUA.LQwJm3M1X1nGMPAjLq";

/// What `--config.check` says of a file of this text: nothing if it is good.
fn check(pki: &Pki, text: &str) -> Result<(), String> {
    pki.write("web.yml", text);
    let output = Command::new(env!("CARGO_BIN_EXE_stack-exporter"))
        .args(["--config.check", "--web.config.file=web.yml", "--no-host", "--no-containers", "--no-postgres", "--no-redis"])
        .current_dir(pki.folder())
        .env_clear()
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    match output.status.code() {
        Some(0) => Ok(()),
        Some(2) => {
            let line = error.strip_prefix("stack-exporter: web.yml: ").and_then(|error| error.strip_suffix('\n'));
            Err(line.unwrap_or_else(|| panic!("{text}: {error}")).to_owned())
        }
        other => panic!("{text}: {other:?}: {error}"),
    }
}

#[test]
fn good_files_are_taken() {
    let pki = Pki::new();
    let folder = pki.folder().display();
    let inline = format!(
        "tls_server_config:\n  cert: |\n{}  key: |\n{}  client_ca: |\n{}  client_auth_type: RequireAndVerifyClientCert\n",
        pki.inline("server.crt", "    "),
        pki.inline("server.key", "    "),
        pki.inline("ca.crt", "    ")
    );
    let both = format!("tls_server_config:\n  cert: nonsense\n  key: nonsense\n  {}\n", PAIR.replace(", ", "\n  "));
    let tls = |more: &str| format!("tls_server_config: {{{PAIR}, {more}}}");
    let http = |more: &str| format!("http_server_config: {{{more}}}");
    for text in [
        String::new(),
        "# nothing yet\n".to_owned(),
        "{}".to_owned(),
        "tls_server_config:\nhttp_server_config:\nbasic_auth_users:\nrate_limit:\n".to_owned(),
        format!("tls_server_config: {{{PAIR}}}"),
        format!("tls_server_config: {{cert_file: {folder}/server.crt, key_file: {folder}/server.key}}"),
        inline,
        both,
        tls("client_auth_type: NoClientCert"),
        tls("client_auth_type: RequestClientCert"),
        tls("client_auth_type: RequireAnyClientCert"),
        tls("client_auth_type: RequireClientCert"),
        tls("client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.crt"),
        tls("client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.crt"),
        tls("client_auth_type: RequestClientCert, client_ca_file: ca.crt"),
        tls("client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.crt, client_allowed_sans: [a.example, 192.0.2.1]"),
        tls("client_auth_type: RequireAnyClientCert, client_allowed_sans: [a.example]"),
        tls("client_auth_type: '', client_ca_file: '', client_allowed_sans: []"),
        tls("min_version: TLS12"),
        tls("min_version: TLS13, max_version: TLS13"),
        tls("max_version: TLS12"),
        tls("cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256]"),
        tls("cipher_suites: [TLS_AES_128_GCM_SHA256]"),
        tls("cipher_suites: [], prefer_server_cipher_suites: false"),
        tls("curve_preferences: [CurveP256, X25519, CurveP384]"),
        http("http2: false"),
        http("http2: true, headers: {}"),
        http("headers: {X-Frame-Options: deny, X-Content-Type-Options: nosniff, X-XSS-Protection: 1; mode=block}"),
        http("headers: {Strict-Transport-Security: max-age=63072000, Content-Security-Policy: default-src 'self'}"),
        http("headers: {X-Frame-Options: '', X-Content-Type-Options: }"),
        "basic_auth_users: {}".to_owned(),
        format!("basic_auth_users: {{alice: {HASH}, bob: {}}}", HASH.replace("2y", "2a")),
        format!("tls_server_config: {{{PAIR}}}\nbasic_auth_users: {{alice: {HASH}}}"),
        "rate_limit: {interval: 1s, burst: 5}".to_owned(),
        "rate_limit: {interval: 0, burst: 5}".to_owned(),
        "rate_limit: {interval: 0s}".to_owned(),
    ] {
        assert_eq!(check(&pki, &text), Ok(()), "{text}");
    }
}

/// What is refused of `tls_server_config`, and in what words; PAIR stands for a good certificate and key.
const BAD_TLS: &[(&str, &str)] = &[
    ("tls_server_config: {cert_file: server.crt}", "tls_server_config: missing one of key or key_file"),
    ("tls_server_config: {key_file: server.key}", "tls_server_config: missing one of cert or cert_file"),
    ("tls_server_config: {cert_file: '', key_file: server.key}", "tls_server_config: missing one of cert or cert_file"),
    ("tls_server_config: {min_version: TLS13}", "tls_server_config: missing one of cert or cert_file"),
    (
        "tls_server_config: {cert_file: no.crt, key_file: server.key}",
        "tls_server_config: cert_file no.crt: No such file or directory (os error 2)",
    ),
    (
        "tls_server_config: {cert_file: server.crt, key_file: no.key}",
        "tls_server_config: key_file no.key: No such file or directory (os error 2)",
    ),
    (
        "tls_server_config: {cert_file: text.crt, key_file: server.key}",
        "tls_server_config: cert_file text.crt: no certificate in PEM format",
    ),
    (
        "tls_server_config: {cert_file: broken.crt, key_file: server.key}",
        "tls_server_config: cert_file broken.crt: a certificate in it cannot be read",
    ),
    (
        "tls_server_config: {cert_file: server.crt, key_file: server.crt}",
        "tls_server_config: key_file server.crt: no private key in PEM format",
    ),
    (
        "tls_server_config: {cert_file: server.crt, key_file: next.key}",
        "tls_server_config: key_file next.key: not the key of the certificate",
    ),
    ("tls_server_config: {cert: nonsense, key: nonsense}", "tls_server_config: cert: no certificate in PEM format"),
    ("tls_server_config: {PAIR, client_auth_type: Please}", "tls_server_config: invalid client_auth_type: \"Please\""),
    (
        "tls_server_config: {PAIR, client_ca_file: ca.crt}",
        "tls_server_config: a client CA is set, but client_auth_type asks for no certificate",
    ),
    (
        "tls_server_config: {PAIR, client_ca: x, client_auth_type: NoClientCert}",
        "tls_server_config: a client CA is set, but client_auth_type asks for no certificate",
    ),
    (
        "tls_server_config: {PAIR, client_auth_type: RequireAndVerifyClientCert}",
        "tls_server_config: client_auth_type RequireAndVerifyClientCert needs client_ca or client_ca_file",
    ),
    (
        "tls_server_config: {PAIR, client_auth_type: VerifyClientCertIfGiven}",
        "tls_server_config: client_auth_type VerifyClientCertIfGiven needs client_ca or client_ca_file",
    ),
    (
        "tls_server_config: {PAIR, client_auth_type: RequireAndVerifyClientCert, client_ca_file: no.crt}",
        "tls_server_config: client_ca_file no.crt: No such file or directory (os error 2)",
    ),
    (
        "tls_server_config: {PAIR, client_auth_type: RequireAndVerifyClientCert, client_ca_file: text.crt}",
        "tls_server_config: client_ca_file text.crt: no certificate in PEM format",
    ),
    (
        "tls_server_config: {PAIR, client_auth_type: RequireAndVerifyClientCert, client_ca: nonsense}",
        "tls_server_config: client_ca: no certificate in PEM format",
    ),
    (
        "tls_server_config: {PAIR, client_auth_type: RequireAndVerifyClientCert, client_ca_file: broken.crt}",
        "tls_server_config: client_ca_file broken.crt: a certificate in it cannot be read",
    ),
    (
        "tls_server_config: {PAIR, client_allowed_sans: [a]}",
        "tls_server_config: client_allowed_sans needs client_auth_type RequireAndVerifyClientCert or RequireAnyClientCert: \
             NoClientCert lets clients in without a certificate",
    ),
    (
        "tls_server_config: {PAIR, client_allowed_sans: [a], client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.crt}",
        "tls_server_config: client_allowed_sans needs client_auth_type RequireAndVerifyClientCert or RequireAnyClientCert: \
             VerifyClientCertIfGiven lets clients in without a certificate",
    ),
    ("tls_server_config: {PAIR, min_version: TLS14}", "tls_server_config: min_version: unknown TLS version: \"TLS14\""),
    (
        "tls_server_config: {PAIR, min_version: TLS10}",
        "tls_server_config: min_version TLS10 cannot be honoured: TLS12 and TLS13 are spoken",
    ),
    (
        "tls_server_config: {PAIR, max_version: TLS11}",
        "tls_server_config: max_version TLS11 cannot be honoured: TLS12 and TLS13 are spoken",
    ),
    ("tls_server_config: {PAIR, min_version: TLS13, max_version: TLS12}", "tls_server_config: min_version is above max_version"),
    ("tls_server_config: {PAIR, cipher_suites: [TLS_INVENTED]}", "tls_server_config: unknown cipher: \"TLS_INVENTED\""),
    (
        "tls_server_config: {PAIR, cipher_suites: [TLS_RSA_WITH_AES_128_GCM_SHA256]}",
        "tls_server_config: unknown cipher: \"TLS_RSA_WITH_AES_128_GCM_SHA256\"",
    ),
    (
        "tls_server_config: {PAIR, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA]}",
        "tls_server_config: cipher TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA cannot be honoured: it is of the CBC kind",
    ),
    (
        "tls_server_config: {PAIR, cipher_suites: [TLS_AES_128_GCM_SHA256], max_version: TLS12}",
        "tls_server_config: no cipher suite is left for the TLS versions that are allowed",
    ),
    ("tls_server_config: {PAIR, curve_preferences: [CurveP257]}", "tls_server_config: unknown curve: \"CurveP257\""),
    (
        "tls_server_config: {PAIR, curve_preferences: [X25519, CurveP521]}",
        "tls_server_config: curve CurveP521 cannot be honoured: X25519, CurveP256 and CurveP384 are",
    ),
];

/// What else is refused; HASH stands for a good one.
const BAD: &[(&str, &str)] = &[
    ("http_server_config: {headers: {Server: me}}", "http_server_config: headers: \"Server\" cannot be set"),
    ("http_server_config: {headers: {x-frame-options: deny}}", "http_server_config: headers: \"x-frame-options\" cannot be set"),
    (
        "http_server_config: {headers: {X-Frame-Options: allow}}",
        "http_server_config: headers: X-Frame-Options is deny or sameorigin, not \"allow\"",
    ),
    (
        "http_server_config: {headers: {X-Content-Type-Options: sniff}}",
        "http_server_config: headers: X-Content-Type-Options is nosniff, not \"sniff\"",
    ),
    (
        "http_server_config: {headers: {Content-Security-Policy: \"a\\r\\nSet-Cookie: b\"}}",
        "http_server_config: headers: the value of \"content-security-policy\" cannot stand in a header",
    ),
    (
        "basic_auth_users:\n  alice: HASH\n  alice: HASH\n",
        "basic_auth_users: duplicate entry with key \"alice\" at line 2 column 3",
    ),
    ("basic_auth_users: [alice]", "basic_auth_users: invalid type: sequence, expected a map at line 1 column 19"),
    ("basic_auth_users: hunter2", "basic_auth_users: invalid type: string, expected a map at line 1 column 19"),
    ("rate_limit: {interval: 1s}", "rate_limit: an interval without a burst of at least 1 would refuse every request"),
    ("rate_limit: {interval: soon, burst: 1}", "rate_limit.interval: not a time such as 1s at line 1 column 24"),
    ("rate_limit: {interval: 1s, burst: -1}", "rate_limit.burst: invalid type: integer, expected u32 at line 1 column 35"),
    (
        "tls_server_config: {cert_fil: server.crt}",
        "tls_server_config: unknown field `cert_fil`, expected one of `cert`, `cert_file`, `key`, `key_file`, `client_ca`, \
             `client_ca_file`, `client_auth_type`, `client_allowed_sans`, `min_version`, `max_version`, `cipher_suites`, \
             `prefer_server_cipher_suites`, `curve_preferences` at line 1 column 21",
    ),
    (
        "tls_config: {}",
        "unknown field `tls_config`, expected one of `tls_server_config`, `http_server_config`, `basic_auth_users`, `rate_limit`",
    ),
    (
        "http_server_config:\n  http2: perhaps\n",
        "http_server_config.http2: invalid type: string, expected a boolean at line 2 column 10",
    ),
    ("http_server_config: {", "did not find expected node content at line 2 column 1, while parsing a flow node"),
    ("just text", "invalid type: string, expected a mapping"),
];

#[test]
fn bad_files_are_refused_in_one_line() {
    let pki = Pki::new();
    pki.write("text.crt", "no certificate\n");
    pki.write("broken.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    for (text, message) in [BAD_TLS, BAD].concat() {
        let text = text.replace("PAIR", PAIR).replace("HASH", HASH);
        assert_eq!(check(&pki, &text), Err(message.to_owned()), "{text}");
    }
}

#[test]
fn keys_are_read_in_every_usual_form() {
    let pki = Pki::new();
    let name = "subjectAltName=DNS:localhost";
    pki.issue_with(&["rsa:2048"], "rsa", None, name);
    pki.issue_with(&["ed25519"], "ed25519", None, name);
    pki.issue_with(&["ec", "-pkeyopt", "ec_paramgen_curve:P-384"], "p384", None, name);
    pki.issue_with(&["ec", "-pkeyopt", "ec_paramgen_curve:P-521"], "p521", None, name);
    pki.convert(&["rsa", "-traditional"], "rsa.key", "pkcs1.key");
    pki.convert(&["ec"], "server.key", "sec1.key");
    pki.convert(&["pkey", "-aes128", "-passout", "pass:hunter2"], "server.key", "encrypted.key");
    let pair =
        |certificate, key| check(&pki, &format!("tls_server_config: {{cert_file: {certificate}.crt, key_file: {key}.key}}"));
    for (certificate, key) in [("rsa", "rsa"), ("rsa", "pkcs1"), ("ed25519", "ed25519"), ("p384", "p384"), ("server", "sec1")] {
        assert_eq!(pair(certificate, key), Ok(()), "{key}");
    }
    let encrypted =
        "tls_server_config: key_file encrypted.key: the private key is encrypted, and nobody is there to type its password";
    assert_eq!(pair("server", "encrypted"), Err(encrypted.to_owned()));
    let p521 =
        "tls_server_config: key_file p521.key: neither an RSA key of 2048 bits and more, nor one on P-256 or P-384, nor Ed25519";
    assert_eq!(pair("p521", "p521"), Err(p521.to_owned()));
}

#[test]
fn what_is_no_bcrypt_hash_is_named_by_its_user() {
    let pki = Pki::new();
    let (short, md5) = (&HASH[..59], HASH.replace("$2y", "$1$"));
    for hash in ["hunter2", "", short, &md5, &HASH.replace("$05", "$03"), &HASH.replace("$05", "$99")] {
        let message = "basic_auth_users: \"alice\": not a bcrypt hash".to_owned();
        assert_eq!(check(&pki, &format!("basic_auth_users: {{alice: {hash}}}")), Err(message), "{hash}");
    }
}
