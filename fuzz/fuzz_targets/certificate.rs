//! The walk over a client's certificate for its alternative names: any client may send one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stack_exporter::web::subject_alternative_names;

fuzz_target!(|certificate: &[u8]| {
    let names = subject_alternative_names(certificate);
    // An address of 4 or 16 bytes takes up to 39 as text; all else is as long as it was.
    assert!(names.iter().map(String::len).sum::<usize>() <= 39 * certificate.len());
});
