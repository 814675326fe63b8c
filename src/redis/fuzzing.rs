//! Doors for fuzz targets: everything that reads what a server or a file says.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::address::Endpoint;
use super::keys::Wanted;
use super::options::Options;
use super::page::Answers;
use super::resp::Value;
use super::target::{self, Target};
use super::worker::{Manner, Server};
use crate::exposition::{Page, Samples};
use crate::settings::{Origin, Setting, Settings};
use crate::system::Roots;

/// The page of a server that answers what is asked with the replies in `bytes`, one after the other.
pub fn read_as_any_server(bytes: &[u8]) -> Vec<u8> {
    let mut settings = Settings::default();
    for flag in super::options::FLAGS.iter().filter(|flag| matches!(flag.default, crate::settings::Default::Switch(false))) {
        settings.set(flag, Origin::CommandLine, Setting::Switch(true));
    }
    let Ok(options) = Options::read(&settings) else { return Vec::new() };
    let options = Options { latencies: true, groups: 3, slots: 3, hot_keys: 3, rdb_size: false, ..options };
    let (keys, roots) = (Arc::new(Wanted::default()), Roots::default());
    let manner = Manner { options, timeout: Duration::from_secs(1), keys, roots };
    let mut server = Server::new(Target::found(Endpoint::Tcp("localhost".to_owned(), 6379)), manner);
    let (mut bytes, mut answers) = (Bytes::copy_from_slice(bytes), Answers::default());
    for _ in 0..8 {
        let asks = server.next(&answers);
        let replies = asks.into_iter().map_while(|ask| Some((ask, Value::take(&mut bytes)?)));
        if server.learn(replies.collect::<Vec<_>>(), &mut answers).is_err() {
            break;
        }
    }
    let mut out = Samples::new();
    server.write(&answers, &mut out);
    Page::new(vec![out]).to_vec()
}

/// Reads `bytes` as a file of passwords.
pub fn passwords_of_any_file(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = target::from_file(&text, &["redis://localhost:6379".to_owned()]);
}
