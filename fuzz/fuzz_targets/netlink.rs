//! The walk over netlink's messages and attributes, and what is read of a message by each who asks.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stack_exporter::system::netlink::{attribute, attributes, messages};
use stack_exporter::system::{Link, read_as_any_reply};

fuzz_target!(|datagram: &[u8]| {
    let mut link = Link::default();
    read_as_any_reply(datagram);
    for message in messages(datagram) {
        link.read(message.payload);
        read_as_any_reply(message.payload);
        for (kind, value) in attributes(message.payload) {
            // What is stepped over and what is found lie within what was given.
            assert!(value.len() <= message.payload.len());
            let again = attribute(kind, value);
            assert_eq!(attributes(&again).next(), Some((kind, value)));
        }
    }
});
