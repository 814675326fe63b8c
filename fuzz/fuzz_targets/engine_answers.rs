//! Whatever a container engine answers, by Docker's API, containerd's or Kubernetes', a page comes of it that can be read back: every
//! series once, no label empty.
//!
//! An input begins with the engine's name on a line; each answer stands behind a line `>>> question`: the path that Docker is asked for,
//! or which messages of the others they are, after the word `sealed` in the envelopes of gRPC.
#![no_main]

#[path = "../parts.rs"]
mod parts;

use libfuzzer_sys::{Corpus, fuzz_target};
use stack_exporter::containers::page_of_any_engine;
use stack_exporter::exposition::parse;

fuzz_target!(|input: &[u8]| -> Corpus { run(input).map_or(Corpus::Reject, |()| Corpus::Keep) });

fn run(input: &[u8]) -> Option<()> {
    let mut parts = parts::split(input);
    let engine = std::str::from_utf8(parts.next()?).ok()?;
    let answers: Vec<(&str, &[u8])> = parts.filter_map(answer).collect();
    let page = page_of_any_engine(engine, &answers);
    let text = page.to_vec();
    let shown = String::from_utf8_lossy(&text);
    assert_eq!(page.duplicates(), 0, "{shown}");
    let families = parse(&text).unwrap_or_else(|error| panic!("{error}\n{shown}"));
    for (family, sample) in families.iter().flat_map(|family| family.samples.iter().map(move |sample| (family.name, sample))) {
        assert!(sample.labels.iter().all(|(_, value)| !value.is_empty()), "{family} {sample:?}");
    }
    Some(())
}

/// A question, and behind its line the answer.
fn answer(part: &[u8]) -> Option<(&str, &[u8])> {
    let end = part.iter().position(|&byte| byte == b'\n')?;
    Some((std::str::from_utf8(&part[..end]).ok()?, &part[end + 1..]))
}
