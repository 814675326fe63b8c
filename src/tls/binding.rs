//! What ties a login to the server's certificate: the channel binding `tls-server-end-point` of RFC 5929.

use ring::digest::{Algorithm, SHA256, SHA384, SHA512, digest};

use super::der::{Elements, OBJECT_IDENTIFIER, element};

/// 1.2.840.113549.1.1: RSA, by the number of the digest that is signed.
const RSA: [u8; 8] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
/// 1.2.840.10045.4: ECDSA.
const ECDSA: [u8; 6] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];

/// The digest of `certificate` by the algorithm of its own signature, or SHA-256 for MD5 and SHA-1. `None` for signatures that have no such
/// algorithm (Ed25519) and those that PostgreSQL itself knows only since version 16 (RSA-PSS).
pub(super) fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, content, _) = element(certificate)?;
    let (_, signature) = Elements(content).nth(1)?;
    let (_, identifier) = Elements(signature).next().filter(|(tag, _)| *tag == OBJECT_IDENTIFIER)?;
    Some(digest(algorithm(identifier)?, certificate).as_ref().to_vec())
}

fn algorithm(identifier: &[u8]) -> Option<&'static Algorithm> {
    if let Some(number) = identifier.strip_prefix(&RSA) {
        return match number {
            [4 | 5 | 11] => Some(&SHA256),
            [12] => Some(&SHA384),
            [13] => Some(&SHA512),
            _ => None,
        };
    }
    match identifier.strip_prefix(&ECDSA)? {
        [1] | [3, 2] => Some(&SHA256),
        [3, 3] => Some(&SHA384),
        [3, 4] => Some(&SHA512),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate that is nothing but its signature's algorithm.
    fn certificate(identifier: &[u8]) -> Vec<u8> {
        let wrap = |tag: u8, content: &[u8]| [&[tag, u8::try_from(content.len()).unwrap()], content].concat();
        let signature = wrap(0x30, &wrap(OBJECT_IDENTIFIER, identifier));
        wrap(0x30, &[wrap(0x30, b"to be signed"), signature, wrap(0x03, b"\0bits")].concat())
    }

    #[test]
    fn the_digest_is_that_of_the_signature() {
        let length = |identifier: &[u8]| end_point(&certificate(identifier)).map(|digest| digest.len());
        let rsa = |number| length(&[&RSA[..], &[number]].concat());
        assert_eq!([4, 5, 11, 12, 13, 10].map(rsa), [Some(32), Some(32), Some(32), Some(48), Some(64), None]);
        let ecdsa = |number| length(&[&ECDSA[..], number].concat());
        assert_eq!([&[1][..], &[3, 2], &[3, 3], &[3, 4], &[3, 1]].map(ecdsa), [Some(32), Some(32), Some(48), Some(64), None]);
        assert_eq!(length(&[0x2b, 0x65, 0x70]), None, "Ed25519");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_left(bytes: Vec<u8>, cut in 0usize..40) {
            let _ = end_point(&bytes);
            let whole = certificate(&RSA);
            let _ = end_point(&whole[..cut.min(whole.len())]);
        }
    }
}
