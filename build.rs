//! What makes a static binary, as the image has it, smaller.
//!
//! Pointers in constant data are filled in when the program is loaded: it notes them in a bit map instead of 24 bytes each, 330 kB less
//! (a dynamic binary would need glibc 2.36 of its host for that). Functions of the same code are kept once, where the linker can do so.
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name| std::env::var(name).unwrap_or_default();
    if !variable("CARGO_CFG_TARGET_FEATURE").split(',').any(|feature| feature == "crt-static") {
        return;
    }
    println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    // From Rust 1.90 on it links with LLVM's linker there, unless it is told another; GNU's knows no such option.
    let told = ["linker", "fuse-ld"].iter().any(|word| variable("CARGO_ENCODED_RUSTFLAGS").contains(word));
    if variable("CARGO_CFG_TARGET_ARCH") == "x86_64"
        && !told
        && minor_version(&variable("RUSTC")).is_some_and(|minor| minor >= 90)
    {
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
    }
}

/// `rustc 1.95.0 (59807616e 2026-04-14)`: 95.
fn minor_version(rustc: &str) -> Option<u32> {
    let output = std::process::Command::new(rustc).arg("--version").output().ok()?;
    String::from_utf8(output.stdout).ok()?.split('.').nth(1)?.parse().ok()
}
