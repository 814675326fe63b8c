//! Doors for fuzz targets: what libpq's users have lying about, and what a request says of a server.

use super::dsn::Dsn;
use super::{passfile, surroundings};

/// Reads `text` as a connection string, as that of a request, as a service file and as a password file. Each is read or refused; a
/// refusal is one line.
pub fn read_as_libpq(text: &str) {
    for refusal in [Dsn::parse(text).err(), Dsn::of_stranger(text).err(), surroundings::section(text, "shop").err()] {
        assert!(refusal.is_none_or(|refusal| !refusal.contains('\n')), "{text:?}");
    }
    passfile::find(text, ["localhost", "5432", "shop", "me"]);
}
