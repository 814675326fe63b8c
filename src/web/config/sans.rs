//! The subject alternative names of a certificate (RFC 5280, 4.2.1.6): DNS, e-mail, URI and IP.
//!
//! webpki tells DNS names only; what it takes to reach the rest is a walk over six nested DER elements.

use std::net::IpAddr;

use crate::tls::der::{Elements, OBJECT_IDENTIFIER, element};

const OCTET_STRING: u8 = 0x04;
/// `extensions` of a TBSCertificate: context tag 3, constructed.
const EXTENSIONS: u8 = 0xa3;
/// 2.5.29.17
const SUBJECT_ALT_NAME: [u8; 3] = [0x55, 0x1d, 0x11];

/// The names in `certificate` as text, IP addresses in their usual form; none where it is no certificate.
pub fn of(certificate: &[u8]) -> Vec<String> {
    let Some(names) = general_names(certificate) else { return Vec::new() };
    let text = |(tag, content): (u8, &[u8])| match tag {
        // rfc822Name, dNSName, uniformResourceIdentifier
        0x81 | 0x82 | 0x86 => String::from_utf8(content.to_vec()).ok(),
        0x87 => address(content).map(|address| address.to_canonical().to_string()),
        _ => None,
    };
    Elements(names).filter_map(text).collect()
}

/// Content of the `GeneralNames` of the subjectAltName extension.
fn general_names(certificate: &[u8]) -> Option<&[u8]> {
    let (_, certificate, _) = element(certificate)?;
    let (_, to_be_signed, _) = element(certificate)?;
    let (_, extensions) = Elements(to_be_signed).find(|(tag, _)| *tag == EXTENSIONS)?;
    let (_, extensions, _) = element(extensions)?;
    let (_, extension) = Elements(extensions).find(|(_, extension)| {
        element(extension).is_some_and(|(tag, identifier, _)| tag == OBJECT_IDENTIFIER && identifier == SUBJECT_ALT_NAME)
    })?;
    let (_, value) = Elements(extension).find(|(tag, _)| *tag == OCTET_STRING)?;
    element(value).map(|(_, names, _)| names)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// A certificate with these names, as openssl makes it.
    fn certificate(names: &str) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-outform", "DER"]);
        openssl.args(["-subj", "/CN=x", "-keyout"]).arg(key);
        if !names.is_empty() {
            openssl.args(["-addext", &format!("subjectAltName={names}")]);
        }
        let output = openssl.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    #[test]
    fn every_kind_of_name_is_read() {
        let names = of(&certificate(
            "critical,DNS:scraper.example,DNS:*.example,email:ops@example.org,URI:spiffe://example/scraper,IP:192.0.2.7,IP:2001:db8:0::1,RID:1.2.3.4",
        ));
        assert_eq!(
            names,
            ["scraper.example", "*.example", "ops@example.org", "spiffe://example/scraper", "192.0.2.7", "2001:db8::1"]
        );
        assert_eq!(of(&certificate("")), [""; 0]);
    }

    #[test]
    fn a_cut_or_changed_certificate_is_no_trouble() {
        let whole = certificate("DNS:scraper.example,IP:192.0.2.7");
        for end in 0..whole.len() {
            let _ = of(&whole[..end]);
        }
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut changed = whole.clone();
                changed[at] ^= 1 << bit;
                let _ = of(&changed);
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_left(bytes: Vec<u8>) {
            let _ = of(&bytes);
        }
    }
}
