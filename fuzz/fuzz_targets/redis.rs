//! Whatever a Redis server answers, a page comes of it, and all on it is `redis_*` with a number; whatever a file of passwords holds, it
//! is read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stack_exporter::redis::{passwords_of_any_file, read_as_any_server};

fuzz_target!(|answers: &[u8]| {
    let page = read_as_any_server(answers);
    let page = String::from_utf8(page).unwrap();
    for line in page.lines().filter(|line| !line.starts_with("# ")) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(series.starts_with("redis_") && value.parse::<f64>().is_ok(), "{line:?}");
    }
    passwords_of_any_file(answers);
});
