//! `tls_server_config`: from the names that Go gives things to what rustls (with ring) can do, and nothing weaker or stronger
//! than was asked for: what cannot be done is refused by its name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls;

use rustls::crypto::{CryptoProvider, SupportedKxGroup, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion};

use super::clients::{self, Demand};
use super::file::RawTls;
use crate::settings::Secret;

/// TLS as it is to be spoken; the files it needs are not read yet.
pub(super) struct Plan {
    cert: Pem,
    key: Pem,
    client_ca: Option<Pem>,
    demand: Demand,
    allowed_sans: Vec<String>,
    versions: Vec<&'static SupportedProtocolVersion>,
    suites: Vec<SupportedCipherSuite>,
    groups: Vec<&'static dyn SupportedKxGroup>,
    server_order: bool,
}

/// Where a certificate or key stands. A file wins over text.
enum Pem {
    File(PathBuf),
    Inline(Secret),
}

impl Pem {
    fn new(file: Option<PathBuf>, inline: Option<Secret>, beside: &Path) -> Option<Self> {
        let file = file.filter(|file| !file.as_os_str().is_empty()).map(|file| Pem::File(beside.join(file)));
        file.or(inline.filter(|text| !text.reveal().is_empty()).map(Pem::Inline))
    }
}

/// Go's `tls.CipherSuites()` that need CBC.
const NOT_HERE: [&str; 4] = [
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
];

impl Plan {
    pub(super) fn new(raw: RawTls, beside: &Path) -> Result<Self, String> {
        let missing = |what: &str| format!("missing one of {what} or {what}_file");
        let demand = demand(raw.client_auth_type.as_deref().unwrap_or_default())?;
        let plan = Plan {
            cert: Pem::new(raw.cert_file, raw.cert, beside).ok_or_else(|| missing("cert"))?,
            key: Pem::new(raw.key_file, raw.key, beside).ok_or_else(|| missing("key"))?,
            client_ca: Pem::new(raw.client_ca_file, raw.client_ca, beside),
            demand,
            allowed_sans: raw.client_allowed_sans.unwrap_or_default(),
            versions: versions(raw.min_version.as_deref(), raw.max_version.as_deref())?,
            suites: suites(&raw.cipher_suites.unwrap_or_default())?,
            groups: groups(&raw.curve_preferences.unwrap_or_default())?,
            server_order: raw.prefer_server_cipher_suites.unwrap_or(true),
        };
        if plan.client_ca.is_some() && demand == Demand::None {
            return Err("a client CA is set, but client_auth_type asks for no certificate".to_owned());
        }
        if plan.client_ca.is_none() && demand.verifies() {
            return Err(format!("client_auth_type {} needs client_ca or client_ca_file", demand.name()));
        }
        if !plan.allowed_sans.is_empty() && !demand.mandatory() {
            return Err(format!(
                "client_allowed_sans needs client_auth_type RequireAndVerifyClientCert or RequireAnyClientCert: {} lets clients \
                 in without a certificate",
                demand.name()
            ));
        }
        Ok(plan)
    }

    /// The certificate and its key. `read` reads a file.
    pub(super) fn pair(&self, read: &mut dyn FnMut(&Path) -> std::io::Result<Vec<u8>>) -> Result<Arc<CertifiedKey>, String> {
        let chain = certificates(&self.cert, "cert", read)?;
        let (shown, text) = self.key.text("key", read)?;
        let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| match memchr::memmem::find(&text, b"ENCRYPTED") {
            Some(_) => format!("{shown}: the private key is encrypted, and nobody is there to type its password"),
            None => format!("{shown}: no private key in PEM format"),
        })?;
        let pair = CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => format!("{shown}: not the key of the certificate"),
            _ => format!("{shown}: neither an RSA key of 2048 bits and more, nor one on P-256 or P-384, nor Ed25519"),
        })?;
        Ok(Arc::new(pair))
    }

    /// What to shake hands with, offering `pair`. `read` reads a file.
    pub(super) fn server_config(
        &self,
        pair: Arc<CertifiedKey>,
        http2: bool,
        read: &mut dyn FnMut(&Path) -> std::io::Result<Vec<u8>>,
    ) -> Result<ServerConfig, String> {
        let mut roots = RootCertStore::empty();
        if let Some(ca) = &self.client_ca {
            for certificate in certificates(ca, "client_ca", read)? {
                roots.add(certificate).map_err(|error| format!("client_ca: {error}"))?;
            }
        }
        let (cipher_suites, kx_groups) = (self.suites.clone(), self.groups.clone());
        let provider = Arc::new(CryptoProvider { cipher_suites, kx_groups, ..ring::default_provider() });
        let clients = clients::verifier(self.demand, roots, self.allowed_sans.clone(), &provider)?;
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.versions)
            .map_err(|_| "no cipher suite is left for the TLS versions that are allowed".to_owned())?;
        let builder = match clients {
            Some(clients) => builder.with_client_cert_verifier(clients),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(Always(pair)));
        config.ignore_client_order = self.server_order;
        config.alpn_protocols = if http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
        Ok(config)
    }
}

/// One certificate, whatever name the client asks for.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

impl Pem {
    /// What to call it in a message, and its text.
    fn text(&self, name: &str, read: &mut dyn FnMut(&Path) -> std::io::Result<Vec<u8>>) -> Result<(String, Vec<u8>), String> {
        match self {
            Pem::Inline(text) => Ok((name.to_owned(), text.reveal().as_bytes().to_vec())),
            Pem::File(path) => {
                let shown = format!("{name}_file {}", path.display());
                read(path).map_err(|error| format!("{shown}: {error}")).map(|text| (shown, text))
            }
        }
    }
}

fn certificates(
    pem: &Pem,
    name: &str,
    read: &mut dyn FnMut(&Path) -> std::io::Result<Vec<u8>>,
) -> Result<Vec<CertificateDer<'static>>, String> {
    let (shown, text) = pem.text(name, read)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let Some(chain) = chain.ok().filter(|chain| !chain.is_empty()) else {
        return Err(format!("{shown}: no certificate in PEM format"));
    };
    match chain.iter().find_map(|certificate| ParsedCertificate::try_from(certificate).err()) {
        Some(_) => Err(format!("{shown}: a certificate in it cannot be read")),
        None => Ok(chain),
    }
}

fn demand(name: &str) -> Result<Demand, String> {
    match name {
        "RequireClientCert" => Ok(Demand::RequireAny),
        "" => Ok(Demand::None),
        _ => Demand::ALL
            .into_iter()
            .find(|demand| demand.name() == name)
            .ok_or_else(|| format!("invalid client_auth_type: {name:?}")),
    }
}

fn versions(min: Option<&str>, max: Option<&str>) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let rank = |key: &str, name: &str| match name {
        "TLS12" => Ok(12),
        "TLS13" => Ok(13),
        "TLS10" | "TLS11" => Err(format!("{key} {name} cannot be honoured: TLS12 and TLS13 are spoken")),
        _ => Err(format!("{key}: unknown TLS version: {name:?}")),
    };
    let min = rank("min_version", min.filter(|name| !name.is_empty()).unwrap_or("TLS12"))?;
    let max = rank("max_version", max.filter(|name| !name.is_empty()).unwrap_or("TLS13"))?;
    let versions: Vec<_> = [(12, &TLS12), (13, &TLS13)]
        .into_iter()
        .filter(|(rank, _)| (min..=max).contains(rank))
        .map(|(_, version)| version)
        .collect();
    if versions.is_empty() { Err("min_version is above max_version".to_owned()) } else { Ok(versions) }
}

/// Go's name of a suite; rustls puts the version into the names of TLS 1.3's.
fn go_name(suite: &SupportedCipherSuite) -> String {
    let name = suite.suite().as_str().unwrap_or_default();
    name.replacen("TLS13_", "TLS_", 1)
}

/// The suites of these names in this order; those of TLS 1.3 are not to choose from and always stay.
fn suites(names: &[String]) -> Result<Vec<SupportedCipherSuite>, String> {
    if names.is_empty() {
        return Ok(ring::ALL_CIPHER_SUITES.to_vec());
    }
    let mut suites: Vec<_> = ring::ALL_CIPHER_SUITES.iter().filter(|suite| suite.tls13().is_some()).copied().collect();
    for name in names {
        match ring::ALL_CIPHER_SUITES.iter().find(|suite| go_name(suite) == *name) {
            Some(suite) if suite.tls13().is_some() => {}
            Some(suite) => suites.push(*suite),
            None if NOT_HERE.contains(&name.as_str()) => {
                return Err(format!("cipher {name} cannot be honoured: it is of the CBC kind"));
            }
            None => return Err(format!("unknown cipher: {name:?}")),
        }
    }
    Ok(suites)
}

fn groups(names: &[String]) -> Result<Vec<&'static dyn SupportedKxGroup>, String> {
    if names.is_empty() {
        return Ok(ring::ALL_KX_GROUPS.to_vec());
    }
    let group = |name: &String| match name.as_str() {
        "X25519" => Ok(ring::kx_group::X25519),
        "CurveP256" => Ok(ring::kx_group::SECP256R1),
        "CurveP384" => Ok(ring::kx_group::SECP384R1),
        "CurveP521" | "X25519MLKEM768" => Err(format!("curve {name} cannot be honoured: X25519, CurveP256 and CurveP384 are")),
        _ => Err(format!("unknown curve: {name:?}")),
    };
    names.iter().map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_have_gos_names_and_keep_their_order() {
        let named = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            suites(&names).map(|suites| suites.iter().map(go_name).collect::<Vec<_>>())
        };
        let all = named(&[]).unwrap();
        assert_eq!(all.len(), 9);
        assert!(all.contains(&"TLS_CHACHA20_POLY1305_SHA256".to_owned()), "{all:?}");
        let chosen = named(&[
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
            "TLS_AES_128_GCM_SHA256",
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        ])
        .unwrap();
        assert_eq!(chosen.len(), 5);
        assert_eq!(chosen[3..], ["TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]);
    }

    #[test]
    fn versions_are_a_range() {
        assert_eq!(versions(None, None).unwrap(), [&TLS12, &TLS13]);
        assert_eq!(versions(Some("TLS13"), Some("")).unwrap(), [&TLS13]);
        assert_eq!(versions(None, Some("TLS12")).unwrap(), [&TLS12]);
        assert!(versions(Some("TLS13"), Some("TLS12")).is_err() && versions(Some("TLS11"), None).is_err());
    }
}
