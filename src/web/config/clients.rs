//! Which client certificates are asked for, and which are good enough.
//!
//! webpki is stricter than Go in one point: the certificate of a CA (`CA:TRUE`) is not taken for a client's, even where it is the very one
//! that `client_ca_file` holds.

use std::sync::Arc;

use tokio_rustls::rustls;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use super::sans;

/// `client_auth_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    None,
    Request,
    RequireAny,
    VerifyIfGiven,
    RequireAndVerify,
}

impl Demand {
    pub(super) const ALL: [Demand; 5] =
        [Demand::None, Demand::Request, Demand::RequireAny, Demand::VerifyIfGiven, Demand::RequireAndVerify];

    /// As Go, and the file, call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Demand::None => "NoClientCert",
            Demand::Request => "RequestClientCert",
            Demand::RequireAny => "RequireAnyClientCert",
            Demand::VerifyIfGiven => "VerifyClientCertIfGiven",
            Demand::RequireAndVerify => "RequireAndVerifyClientCert",
        }
    }

    /// Whether no one is let in without a certificate.
    pub(super) fn mandatory(self) -> bool {
        matches!(self, Demand::RequireAny | Demand::RequireAndVerify)
    }

    /// Whether a certificate must come from the client CA.
    pub(super) fn verifies(self) -> bool {
        matches!(self, Demand::VerifyIfGiven | Demand::RequireAndVerify)
    }
}

/// What `demand` asks of clients; `None` where it asks for nothing.
pub(super) fn verifier(
    demand: Demand,
    roots: RootCertStore,
    allowed_sans: Vec<String>,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    if demand == Demand::None {
        return Ok(None);
    }
    let chain = if demand.verifies() {
        // Whether a certificate must be given at all is this verifier's business, see `client_auth_mandatory`.
        let built = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
        Some(built.map_err(|error| format!("client_ca: {error}"))?)
    } else {
        None
    };
    let algorithms = provider.signature_verification_algorithms;
    Ok(Some(Arc::new(Verifier { chain, mandatory: demand.mandatory(), allowed_sans, algorithms })))
}

#[derive(Debug)]
struct Verifier {
    /// Checks the chain up to the client CA; `None` where any certificate will do.
    chain: Option<Arc<dyn ClientCertVerifier>>,
    mandatory: bool,
    /// Empty: any.
    allowed_sans: Vec<String>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.as_ref().map_or(&[], |chain| chain.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(chain) = &self.chain {
            chain.verify_client_cert(leaf, intermediates, now)?;
        }
        if !self.allowed_sans.is_empty() && !sans::of(leaf).iter().any(|san| self.allowed_sans.contains(san)) {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        Ok(ClientCertVerified::assertion())
    }

    // Any certificate will do, but the client must hold its key.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
