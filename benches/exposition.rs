//! What writing a page costs: 20,000 series of 6 labels, as 40 families of 500 entities.
//!
//! `cargo bench --bench exposition`; divide by 20,000 for the cost of a series. The allocation columns are for the whole page.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::io::Write;

use divan::{AllocProfiler, Bencher};
use flate2::Compression;
use flate2::write::GzEncoder;
use stack_exporter::exposition::{Cursor, Kind, Labels, Page, Samples, from_usize};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

const ENTITIES: usize = 500;
const FAMILIES: usize = 40;

fn main() {
    divan::main();
}

struct Input {
    names: Vec<String>,
    ids: Vec<(String, String)>,
    labels: Vec<Labels>,
}

impl Input {
    fn new() -> Self {
        let ids: Vec<_> = (0..ENTITIES).map(|n| (format!("/docker/{n:064x}"), format!("stack_service_{n}"))).collect();
        let labels = ids.iter().map(|(id, name)| Labels::of(&label_pairs(id, name))).collect();
        Input { names: (0..FAMILIES).map(|n| format!("container_family_{n}_bytes_total")).collect(), ids, labels }
    }

    fn samples(&self, rendered_once: bool, sources: usize) -> Vec<Samples> {
        let mut all: Vec<Samples> = (0..sources).map(|_| Samples::new()).collect();
        for (f, name) in self.names.iter().enumerate() {
            for (source, samples) in all.iter_mut().enumerate() {
                let mut rows = samples.named(name, "A help text of the usual length for a family.", Kind::Counter);
                for (e, ((id, service), labels)) in self.ids.iter().zip(&self.labels).enumerate().skip(source).step_by(sources) {
                    let value = from_usize(f * 1_000_003 + e * 7_919) * 0.25;
                    if rendered_once {
                        rows.add_to(labels, [], value);
                    } else {
                        rows.add(label_pairs(id, service), value);
                    }
                }
            }
        }
        all
    }
}

fn label_pairs<'a>(id: &'a str, name: &'a str) -> [(&'a str, &'a str); 6] {
    [
        ("container_label_com_docker_compose_project", "stack"),
        ("container_label_com_docker_compose_service", name),
        ("cpu", "total"),
        ("id", id),
        ("image", "registry.example/team/service:1.2.3"),
        ("name", name),
    ]
}

fn write(page: &Page, out: &mut impl Write) {
    let (mut cursor, mut chunk) = (Cursor::default(), Vec::with_capacity(160 * 1024));
    loop {
        chunk.clear();
        let more = page.chunk(&mut cursor, &mut chunk);
        out.write_all(&chunk).unwrap();
        if !more {
            break;
        }
    }
}

/// The collectors' side alone, without putting the page together.
#[divan::bench(args = [false, true])]
fn samples_alone(bencher: Bencher, rendered_once: bool) {
    let input = Input::new();
    bencher.bench_local(|| black_box(input.samples(rendered_once, 1)));
}

#[divan::bench(args = [1, 8])]
fn labels_written_each_time(bencher: Bencher, sources: usize) {
    let input = Input::new();
    bencher.bench_local(|| write(&Page::new(input.samples(false, sources)), black_box(&mut std::io::sink())));
}

#[divan::bench(args = [1, 8])]
fn labels_rendered_once(bencher: Bencher, sources: usize) {
    let input = Input::new();
    bencher.bench_local(|| write(&Page::new(input.samples(true, sources)), black_box(&mut std::io::sink())));
}

#[divan::bench(args = [1, 6])]
fn then_gzip(bencher: Bencher, level: u32) {
    let input = Input::new();
    bencher.bench_local(|| {
        let mut encoder = GzEncoder::new(std::io::sink(), Compression::new(level));
        write(&Page::new(input.samples(true, 1)), &mut encoder);
        encoder.finish().unwrap();
    });
}
