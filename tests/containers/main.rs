//! Containers: the real binary over trees of our own making, over a real Docker daemon, and beside cAdvisor.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../support/mod.rs"]
mod support;

mod audit;
mod containerd;
mod contract;
mod cri;
mod cri_hostile;
mod disk;
mod engine;
mod fake;
mod faults;
mod grpc;
mod loads;
mod matrix;
mod parity;
mod parts;
mod podman;
mod proxy;
mod sets;
mod status;
mod stock;
mod streams;

mod tree_files;
mod trees;
