//! TLS to the servers that are asked: whom to trust, and who we are.
//!
//! Certificates are those of files that may be changed while the agent runs, so they are read again for each connection; connections
//! are kept.

mod binding;
pub(crate) mod der;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::settings::Tls;

/// Where distributions keep the certificates that they trust.
const BUNDLES: [&str; 4] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"];

/// Shakes hands over `stream` with the server called `host`, a name or an IP address. The error is one line, the same for the same
/// cause.
pub async fn greet<S>(stream: S, host: &str, tls: &Tls) -> Result<TlsStream<S>, String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let host = tls.server_name.as_deref().filter(|name| !name.is_empty()).unwrap_or(host);
    let name = ServerName::try_from(host.to_owned()).map_err(|_| "the server's name is not one that a certificate can have")?;
    let connector = TlsConnector::from(Arc::new(config(tls)?));
    connector.connect(name, stream).await.map_err(|error| error.to_string())
}

/// Checks what can be checked before there is a server: that the files are there and hold what they should.
pub fn config(tls: &Tls) -> Result<ClientConfig, String> {
    let trust = match tls.insecure_skip_verify {
        true => Trust::Anyone,
        false => Trust::Issued { roots: tls.ca_file.as_deref(), named: true },
    };
    client(trust, tls.cert_file.as_deref(), tls.key_file.as_deref())
}

/// Whose certificate is taken.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// That of anyone who holds its key.
    Anyone,
    /// One that the CAs of a file, or else those that the system trusts, have issued; `named`: for the server's name.
    Issued {
        /// The file.
        roots: Option<&'a Path>,
        /// Whether the name counts.
        named: bool,
    },
}

/// A client that takes certificates as `trust` says and, if asked, shows its own.
pub fn client(trust: Trust<'_>, cert: Option<&Path>, key: Option<&Path>) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Anyone => Arc::new(Verifier { provider, issued: None }),
        Trust::Issued { roots, named } => Arc::new(Verifier { provider, issued: Some(Issued::read(roots, named)?) }),
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    match (cert, key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(cert), Some(key)) => {
            let shown = key.display();
            let secret =
                PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|_| format!("{shown}: no private key in PEM format"))?;
            builder
                .with_client_auth_cert(certificates(cert)?, secret)
                .map_err(|_| format!("{shown}: not the key of {}", cert.display()))
        }
        _ => Err("a client certificate takes two files: the certificate and its key".to_owned()),
    }
}

/// What ties a login to the server at the other end of `stream`, if its certificate has it.
pub fn end_point<S>(stream: &TlsStream<S>) -> Option<Vec<u8>> {
    stream.get_ref().1.peer_certificates()?.first().and_then(|certificate| binding::end_point(certificate))
}

/// The bundle of certificates that the system trusts.
fn bundle() -> Result<PathBuf, String> {
    let bundle = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let bundle = bundle.or_else(|| BUNDLES.into_iter().map(PathBuf::from).find(|path| path.exists()));
    bundle.ok_or_else(|| "no CA certificates on this system: name a CA file".to_owned())
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(file)?).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(format!("{}: no certificate in PEM format", file.display())),
    }
}

/// Who has issued the certificates that are taken.
#[derive(Debug)]
struct Issued {
    roots: RootCertStore,
    /// Those of the file: one of them may be the server's own.
    given: Vec<CertificateDer<'static>>,
    named: bool,
}

impl Issued {
    fn read(file: Option<&Path>, named: bool) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        let Some(file) = file else {
            // Some of a distribution's certificates may be of a kind that is not understood; that is no reason to trust nobody.
            roots.add_parsable_certificates(certificates(&bundle()?)?);
            return Ok(Issued { roots, given: Vec::new(), named });
        };
        let given = certificates(file)?;
        for certificate in &given {
            roots.add(certificate.clone()).map_err(|error| format!("{}: {error}", file.display()))?;
        }
        Ok(Issued { roots, given, named })
    }
}

/// Takes certificates from those who hold their keys: all that were [`Issued`], or any.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    issued: Option<Issued>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(issued) = &self.issued else { return Ok(ServerCertVerified::assertion()) };
        let parsed = ParsedCertificate::try_from(certificate)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        match verify_server_cert_signed_by_trust_anchor(&parsed, &issued.roots, others, now, algorithms) {
            // A certificate that signs itself, as `openssl req -x509` makes it, says that it is a CA's. It is the operator who trusts it.
            Err(error) if issued.given.contains(certificate) && format!("{error:?}").contains("CaUsedAsEndEntity") => {}
            checked => checked?,
        }
        if issued.named {
            verify_server_name(&parsed, name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
