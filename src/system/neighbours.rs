//! The IPv4 neighbours that the host's network interfaces know: an RTM_GETNEIGH dump of rtnetlink.

use super::netlink::number;
use super::{Fault, System};

/// Neighbours that need no resolving, such as multicast groups.
const NUD_NOARP: u16 = 0x40;

impl System {
    /// For each neighbour the index of its interface; `None` where netlink would answer for another namespace ([`System::links`]).
    pub fn neighbours(&mut self) -> Result<Option<Vec<i32>>, Fault> {
        // struct ndmsg, which begins with the family.
        let request: [u8; 12] = std::array::from_fn(|at| if at == 0 { 2 } else { 0 });
        let mut interfaces = Vec::new();
        let asked = self.route(libc::RTM_GETNEIGH, &request, |payload| interfaces.extend(parse(payload)))?;
        Ok(asked.map(|()| interfaces))
    }
}

/// `struct ndmsg`: the index of the interface, unless the neighbour is of another family or needs no resolving.
pub(super) fn parse(payload: &[u8]) -> Option<i32> {
    let index = i32::from_ne_bytes(number(payload.get(4..)?)?);
    let state = u16::from_ne_bytes(number(payload.get(8..)?)?);
    (i32::from(*payload.first()?) == libc::AF_INET && state & NUD_NOARP == 0).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_other_families_do_not_count() {
        let message = |family: u8, index: i32, state: u16| {
            [&[family, 0, 0, 0][..], &index.to_ne_bytes(), &state.to_ne_bytes(), &[0, 1]].concat()
        };
        assert_eq!(parse(&message(2, 7, 4)), Some(7));
        assert_eq!(parse(&message(2, 7, NUD_NOARP)), None);
        assert_eq!(parse(&message(10, 7, 4)), None);
        assert_eq!(parse(&message(2, 7, 4)[..9]), None);
    }

    #[test]
    fn the_kernel_answers() {
        assert!(System::default().neighbours().unwrap().is_some());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            parse(&bytes);
        }
    }
}
