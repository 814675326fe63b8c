//! What becomes of containers' descriptions, honest and hostile.

use proptest::prelude::*;

use super::super::container::Published;
use super::super::{POSTGRES, REDIS};
use super::*;

fn look(kind: &'static Kind) -> Look {
    Look { kind, roots: Roots::default(), secrets: "/run/secrets".into(), taken: BTreeSet::new() }
}

fn container(id: &str, labels: &[(&str, &str)]) -> Container {
    let of = |text: &str| format!("{LABELS}{text}");
    Container {
        id: id.to_owned(),
        name: format!("c-{id}"),
        image: "postgres:14".to_owned(),
        settings: labels.iter().map(|(key, value)| (of(key), (*value).to_owned())).collect(),
        pid: Some(7),
        ..Container::default()
    }
}

/// The one wish of one container.
fn wish(kind: &'static Kind, container: Container) -> Option<Wish> {
    look(kind).wishes(vec![Arc::new(container)]).0.into_values().next()
}

fn places(wish: &Wish) -> Vec<String> {
    wish.places.iter().map(|place| format!("{} {}:{}", place.how, place.host, place.port)).collect()
}

#[test]
fn places_in_the_order_of_their_likeliness() {
    let address = |text: &str| text.parse().unwrap();
    let published = |address, host_port| Published { port: 5432, address, host_port };
    let db = Container {
        addresses: vec![address("172.17.0.2"), address("fd00::2")],
        published: vec![published(address("0.0.0.0"), 15432), published(address("192.168.1.5"), 5432)],
        ..container("db", &[])
    };
    let proc = tempfile::tempdir().unwrap();
    std::fs::create_dir(proc.path().join("7")).unwrap();
    std::fs::write(proc.path().join("7/cgroup"), "0::/system.slice/docker-db.scope\n").unwrap();
    let here = |local: bool| {
        let look = Look { roots: Roots { proc: proc.path().into(), ..Roots::default() }, ..look(&POSTGRES) };
        move |db: &Container| {
            look.wishes(vec![Arc::new(Container { remote: !local, ..db.clone() })]).0.into_values().next().unwrap()
        }
    };
    let one = here(true)(&db);
    let sockets = ["var/run/postgresql", "tmp"].map(|folder| format!("socket {}/7/root/{folder}:5432", proc.path().display()));
    let network = ["network 172.17.0.2:5432", "network fd00::2:5432", "published 127.0.0.1:15432", "published 192.168.1.5:5432"];
    let network = network.map(str::to_owned);
    assert_eq!(places(&one), [&sockets[..], &network[..]].concat());
    assert_eq!(places(&here(false)(&db)), places(&one), "the process is the container's: the engine is ours");
    let elsewhere = Container { id: "other".into(), ..db.clone() };
    assert_eq!(places(&here(true)(&elsewhere)), network);
    assert_eq!(places(&here(false)(&elsewhere)), [network[0].clone(), network[1].clone(), network[3].clone()]);
    assert!(one.is_at("172.17.0.2", 5432) && one.is_at("localhost", 15432) && one.is_at("c-db", 5432) && one.is_at("::1", 15432));
    assert!(
        !one.is_at("172.17.0.2", 5433)
            && !one.is_at("localhost", 5432)
            && !one.is_at("c-db", 15432)
            && !one.is_at("/nowhere", 5432)
    );

    // One that lives in another's network.
    let joined = Container { network: Network::Of("db".into()), image: "redis:6".into(), ..container("cache", &[]) };
    let (wishes, _) = look(&REDIS).wishes(vec![Arc::new(db), Arc::new(joined)]);
    assert_eq!(places(&wishes["c-cache"]), ["network 172.17.0.2:6379", "network fd00::2:6379"]);
    let host = wish(&REDIS, Container { network: Network::Host, image: "redis".into(), ..container("x", &[]) }).unwrap();
    assert_eq!(places(&host), ["host 127.0.0.1:6379"]);
}

#[test]
fn labels_choose_and_refuse() {
    let of = |labels: &[(&str, &str)]| wish(&POSTGRES, container("a", labels));
    assert_eq!(of(&[("postgres", "false"), ("postgres.user", "x")]), None);
    assert!(!of(&[]).unwrap().asked && of(&[("postgres", "true")]).unwrap().asked);
    let all = of(&[("postgres", "port=5433 user=me dbname=shop sslmode=require"), ("postgres.name", "main")]).unwrap();
    let texts = (all.name.as_str(), all.user.as_deref(), all.database.as_deref(), all.tls.as_deref(), all.port, all.wrong);
    assert_eq!(texts, ("main", Some("me"), Some("shop"), Some("require"), 5433, None));
    for wrong in
        ["host=x", "password=x", "hostaddr=10.0.0.1", "nonsense", "port=0", "port=x", "service=x", "passfile=/etc/passwd"]
    {
        assert_eq!(of(&[("postgres", wrong)]).unwrap().wrong, Some(Missing::Label), "{wrong}");
    }
    for wrong in ["../x", "/etc/shadow", "a/../../b"] {
        let wish = of(&[("postgres.password-file", wrong)]).unwrap();
        assert_eq!((wish.wrong, wish.password_file), (Some(Missing::Secret), None), "{wrong}");
    }
    assert_eq!(of(&[("postgres.password-file", "db")]).unwrap().password_file.unwrap(), Path::new("/run/secrets/db"));
    // A label alone makes a server of a container, of the one kind.
    let other = |part: &str| Container { image: "x".into(), ..container("a", &[(part, "monitor")]) };
    assert!(wish(&REDIS, other("redis.user")).is_some() && wish(&POSTGRES, other("redis.user")).is_none());
    assert!(wish(&REDIS, other("postgresql")).is_none() && wish(&POSTGRES, other("postgresql")).is_none());
}

#[test]
fn who_is_not_watched_is_known_all_the_same() {
    let off = Container { network: Network::Host, ..container("a", &[("postgres", "no")]) };
    let (on, off) = look(&POSTGRES).wishes(vec![Arc::new(off)]);
    assert!(on.is_empty() && off[0].is_at("127.0.0.1", 5432));
}

#[test]
fn a_stopped_one_gives_way_to_its_successor() {
    let compose = |id: &str, pid| {
        let labels = [("com.docker.compose.project", "shop"), ("com.docker.compose.service", "db")];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        Arc::new(Container { labels, pid, ..container(id, &[]) })
    };
    let names = |all| look(&POSTGRES).wishes(all).0.into_values().map(|wish| (wish.name, wish.running)).collect::<Vec<_>>();
    assert_eq!(names(vec![compose("a", None)]), [("shop/db".to_owned(), false)]);
    assert_eq!(names(vec![compose("a", None), compose("b", Some(7))]), [("shop/db".to_owned(), true)]);
    let twins = vec![compose("a", Some(6)), compose("b", Some(7))];
    assert_eq!(names(twins), [("shop/db".to_owned(), true), ("shop/db@c-b".to_owned(), true)]);
    let mut look = look(&POSTGRES);
    look.taken.insert("shop/db".to_owned());
    assert_eq!(look.wishes(vec![compose("a", Some(6))]).0.into_keys().collect::<Vec<_>>(), ["shop/db@c-a"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_labels_are_read(
        pairs in proptest::collection::vec(("(postgres|redis)(\\.(user|name|port|password-file|tls|x))?", "(\\.\\./|/)?.{0,20}( [a-z]{1,5}=.{0,5})?"), 0..6),
        names in proptest::collection::vec(".{0,3}", 1..6),
    ) {
        let labels: Vec<(&str, &str)> = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let all: Vec<_> = names.iter().enumerate().map(|(at, name)| {
            Arc::new(Container { name: name.clone(), id: format!("{at:064x}"), ..container("x", &labels) })
        }).collect();
        for kind in [&POSTGRES, &REDIS] {
            let (on, off) = look(kind).wishes(all.clone());
            prop_assert!(on.len() + off.len() <= all.len());
            for (name, wish) in &on {
                prop_assert_eq!(name, &wish.name);
                prop_assert!(!name.contains(char::is_control) && name.chars().count() < 512);
                prop_assert!(wish.places.is_empty());
                let inside = |file: &PathBuf| file.starts_with("/run/secrets") && !file.components().any(|part| part.as_os_str() == "..");
                prop_assert!(wish.password_file.as_ref().is_none_or(inside));
            }
        }
    }
}
