//! One scrape of one server: ask, learn, write.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::resp::{Cmd, Value};

use super::ask::Ask;
use super::beyond::Beyond;
use super::connection::{Connection, Failure};
use super::info::Info;
use super::keys::{self, Facts, Findings, Keys, Wanted};
use super::options::Options;
use super::outcome::{Outcome, Total};
use super::page::Answers;
use super::plan::{Known, plan};
use super::retry::Retry;
use super::target::Target;
use super::{COLLECTOR, reply};
use crate::exposition::{Labels, Samples};
use crate::scrape::{Advised, Job, Worker};
use crate::system::{Fault, Roots};

/// The most round trips of one scrape: INFO, INFO in its short form, what INFO told us to ask, and what that told us.
const ROUNDS: usize = 4;

thread_local! {
    /// What the servers of a thread write into, one after the other: what belongs to the server, and what has no role of it.
    static ROOM: RefCell<(Samples, Samples)> = RefCell::default();
}

/// Settings of the part that concern every server.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    /// What is asked.
    pub(super) options: Options,
    /// The longest that a scrape may wait for the server.
    pub(super) timeout: Duration,
    /// What is asked about keys.
    pub(super) keys: Arc<Wanted>,
    /// Where the host's files are.
    pub(super) roots: Roots,
}

/// Scrapes one server.
pub(super) struct Server {
    target: Target,
    manner: Manner,
    connection: Option<Connection>,
    known: Option<Known>,
    keys: Option<Keys>,
    total: Total,
    beyond: Beyond,
    /// Since it gave a scrape no answer in time.
    retry: Option<Retry>,
}

impl Worker for Server {
    async fn collect(&mut self, job: &Job) {
        let start = Instant::now();
        let late = self.retry.as_ref().is_some_and(|retry| !retry.is_over());
        let limit = if late { Duration::ZERO } else { self.limit(job.remaining()) };
        let (mut answers, mut connect, mut ping) = (Answers::default(), Duration::ZERO, None);
        // Beside each other, so that neither waits for the other.
        let (mut keys, mut found) = (self.keys.take(), Findings::default());
        let singles = async {
            if let Some(keys) = &mut keys {
                keys.singles(&mut found).await;
            }
        };
        let read = tokio::time::timeout(limit, self.read(&mut answers, &mut connect, &mut ping));
        let (read, _) = tokio::join!(read, tokio::time::timeout(limit, singles));
        self.keys = keys;
        let result = read.unwrap_or_else(|_| Err(Failure::Late(self.target.endpoint.clone())));
        self.retry = match &result {
            Err(Failure::Late(_)) if late => self.retry.take(),
            Err(Failure::Late(_)) => Some(Retry::start(&self.target, &self.manner)),
            _ => None,
        };
        let error = result.err().map(|failure| (failure.to_string(), failure.reason()));
        if self.known.as_mut().is_some_and(Known::take_moved) || error.is_some() {
            self.connection = None;
        }
        let plain = if job.is_plain() { Labels::new() } else { self.target.labels.clone() };
        let mut labels = plain.clone();
        if self.manner.options.role {
            labels.push("instance_role", answers.role());
        }
        ROOM.with_borrow_mut(|(out, own)| {
            out.reuse(labels);
            own.reuse(plain);
            let facts = self.write(&answers, out);
            let up = answers.info.is_some();
            if let Some(keys) = &mut self.keys {
                if up {
                    keys.begin(facts);
                }
                keys.emit(&found, out);
            }
            if up {
                keys::groups_duration(self.keys.as_ref(), out);
            }
            let duration = start.elapsed();
            self.total.add(duration);
            let told = error.as_ref().map(|(text, reason)| (text.as_str(), *reason));
            Outcome { up, error: told, connect, ping, duration, total: self.total }.emit(out, own);
            out.append(own);
            job.hand_in(COLLECTOR, duration, error.map_or(Ok(()), |(text, _)| Err(Fault::Remote(text))), out);
        });
    }

    fn reset(&mut self) {
        self.connection = None;
        self.known = None;
        self.keys = Keys::new(&self.manner.keys, &self.target, &self.manner);
    }
}

impl Server {
    pub(super) fn new(target: Target, manner: Manner) -> Self {
        let keys = Keys::new(&manner.keys, &target, &manner);
        let beyond = Beyond::new(target.side, manner.roots.clone());
        Server { target, manner, connection: None, known: None, keys, total: Total::default(), beyond, retry: None }
    }

    /// How long to wait for the server. A little of the time is ours, to tell that the server took the rest.
    fn limit(&self, remaining: Duration) -> Duration {
        remaining.mul_f64(0.95).min(self.manner.timeout)
    }

    /// What the checks of this server find.
    pub(super) fn advised(&self) -> Advised {
        self.beyond.advised.clone()
    }

    /// Asks until all is known that is wanted: one round trip in steady state, a second one after something has changed.
    async fn read(&mut self, answers: &mut Answers, connect: &mut Duration, ping: &mut Option<Duration>) -> Result<(), Failure> {
        self.beyond.begin(self.target.credentials().is_ok_and(|credentials| credentials.is_none()));
        self.known.iter_mut().for_each(|known| known.histograms.begin());
        if self.manner.options.ping {
            let start = Instant::now();
            let reply = self.ask(&[Ask::Ping], connect).await?;
            *ping = reply.first().is_some_and(|reply| reply::refusal(reply).is_none()).then(|| start.elapsed());
        }
        for _ in 0..ROUNDS {
            let asks = self.next(answers);
            if asks.is_empty() {
                return Ok(());
            }
            let start = Instant::now();
            let replies = self.ask(&asks, connect).await?;
            self.beyond.waited(start.elapsed());
            self.learn(asks.into_iter().zip(replies), answers)?;
        }
        Ok(())
    }

    /// What is still to be asked in this scrape.
    pub(super) fn next(&self, answers: &Answers) -> Vec<Ask> {
        let mut asks = plan(self.known.as_ref(), &self.manner.options);
        if answers.info.is_none() && answers.has(&Ask::InfoAll) {
            asks = vec![Ask::Info];
        }
        asks.extend(self.beyond.asks());
        let told = answers.info.is_some();
        asks.retain(|ask| !(answers.has(ask) || told && *ask == Ask::InfoShort));
        asks
    }

    /// Writes what the answers hold; what key work depends on.
    pub(super) fn write(&mut self, answers: &Answers, out: &mut Samples) -> Option<Facts> {
        answers.write(self.known.as_ref(), &self.manner.options, &mut self.beyond, out)
    }

    /// Takes in the latest replies.
    pub(super) fn learn(&mut self, latest: impl IntoIterator<Item = (Ask, Value)>, answers: &mut Answers) -> Result<(), Failure> {
        for (ask, reply) in latest {
            if !matches!(ask, Ask::InfoAll | Ask::InfoShort | Ask::Info) {
                self.known.iter_mut().for_each(|known| known.note(&ask, &reply, &self.manner.options));
                self.beyond.note(&ask, &reply);
                answers.replies.push((ask, reply));
                continue;
            }
            match reply::refusal(&reply) {
                None => {}
                // The short form is worth a try.
                Some(words) if ask != Ask::Info && words.starts_with("ERR ") => {}
                Some(words) => return Err(Failure::Refused(words)),
            }
            answers.info = reply::text(&reply).map(Cow::into_owned).filter(|text| Info::is(text));
            match &answers.info {
                Some(text) => {
                    let info = Info::parse(text);
                    let known = Known::learn(&mut self.known, &ask, &info, Instant::now());
                    known.compare(&ask, text, &info, Instant::now());
                    self.beyond.look(&info);
                }
                None if ask == Ask::InfoAll => {}
                None if ask == Ask::InfoShort => self.known.iter_mut().for_each(Known::end_short),
                None => return Err(Failure::Nonsense(self.target.endpoint.clone())),
            }
            answers.replies.push((ask, Value::Nil));
        }
        Ok(())
    }

    /// One round trip. A kept connection may have been closed by the server meanwhile (its `timeout` setting, a restart): then
    /// a new one is opened, once.
    async fn ask(&mut self, asks: &[Ask], connect: &mut Duration) -> Result<Vec<Value>, Failure> {
        let commands = || asks.iter().map(|ask| ask.command(&self.manner.options));
        if let Some(connection) = &mut self.connection {
            match connection.ask(commands()).await {
                Err(Failure::Lost(..)) => self.connection = None,
                other => return other,
            }
        }
        let start = Instant::now();
        let connection = Connection::open(&self.target.endpoint, &self.target.tls).await;
        *connect += start.elapsed();
        let connection = self.connection.insert(connection?);
        let credentials = self.target.credentials().map_err(Failure::Password)?;
        let login = credentials.as_ref().map(|(user, password)| Cmd::login(*user, password));
        let name = self.manner.options.client_name.then(|| Cmd::of(&[b"CLIENT", b"SETNAME", env!("CARGO_PKG_NAME").as_bytes()]));
        let first = usize::from(login.is_some()) + usize::from(name.is_some());
        let replies = connection.ask(login.into_iter().chain(name).chain(commands())).await;
        let refused = match &replies {
            Err(Failure::Refused(words)) => Some(words.clone()),
            Ok(replies) => credentials.as_ref().and_then(|_| reply::refusal(replies.first()?)),
            Err(_) => None,
        };
        if let Some(words) = refused {
            // Some servers quote what they were sent.
            let words = credentials.map_or(words.clone(), |(_, password)| words.replace(password.reveal(), "***"));
            return Err(Failure::Refused(words));
        }
        let mut replies = replies?;
        Ok(replies.split_off(first.min(replies.len())))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::address::Endpoint;
    use super::*;

    fn server() -> Server {
        let options = Options { config_command: Some("CONFIG".to_owned()), latencies: true, ..Options::default() };
        let manner = Manner { options, timeout: Duration::from_secs(1), keys: Arc::default(), roots: Roots::default() };
        Server::new(Target::found(Endpoint::Tcp("localhost".to_owned(), 6379)), manner)
    }

    /// Lines as a server writes them, and what may become of them.
    fn line() -> impl Strategy<Value = String> {
        let name = "(cmdstat_|errorstat_|latency_percentiles_usec_|db|slave|master|master_|master_1_|cluster_|io_thread_|used_active_time_io_thread_|)\
            (get|config\\|set|[0-9]{1,12}|host|port|link_status|enabled|state|[a-z_{}\"|-]{0,6})";
        let value = "((calls|usec|p50|p|keys|expires|avg_ttl|subexpiry|name|address|status|ip|port|state|offset|lag|count)?=?[-0-9.a-z\"\\\\]{0,8},?){0,8}";
        prop_oneof![
            (name, value).prop_map(|(name, value)| format!("{name}:{value}")),
            Just("run_id:a".to_owned()),
            Just("sentinel_masters:1".to_owned()),
            any::<String>(),
        ]
    }

    /// Replies of every shape.
    fn reply() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Nil),
            any::<i64>().prop_map(Value::Int),
            "(calls|histogram_usec|name|ip|port|flags|databases|client-output-buffer-limit|maxmemory|[0-9]{1,20}|.{0,5})"
                .prop_map(|text| Value::Bulk(text.into())),
            any::<Vec<u8>>().prop_map(|bytes| Value::Bulk(bytes.into())),
            any::<String>().prop_map(|text| Value::Simple(text.into())),
            Just(Value::Error("ERR unknown".into())),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| proptest::collection::vec(inner, 0..8).prop_map(Value::Array))
    }

    fn every_ask() -> Vec<Ask> {
        let mut asks =
            vec![Ask::Config, Ask::ClusterInfo, Ask::LatencyLatest, Ask::LatencyHistogram(Vec::new()), Ask::SlowlogLength];
        asks.extend([Ask::SlowlogLast, Ask::CommandlogKnown, Ask::SentinelMasters, Ask::Commandlog("slow")]);
        asks.extend([Ask::SentinelQuorum, Ask::SentinelPeers, Ask::SentinelReplicas].map(|ask| ask("get".to_owned())));
        asks
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_answers_make_a_page(lines in proptest::collection::vec(line(), 0..40), replies in proptest::collection::vec(reply(), 12)) {
            let info = (Ask::InfoAll, Value::Bulk(lines.join("\r\n").into()));
            let latest = std::iter::once(info).chain(every_ask().into_iter().zip(replies));
            let (mut server, mut out, mut answers) = (server(), Samples::new(), Answers::default());
            let _ = server.learn(latest, &mut answers);
            let _ = plan(server.known.as_ref(), &server.manner.options);
            server.write(&answers, &mut out);
            let page = String::from_utf8(crate::exposition::Page::new(vec![out]).to_vec()).unwrap();
            for line in page.lines().filter(|line| !line.starts_with("# ")) {
                let (series, value) = line.rsplit_once(' ').unwrap();
                prop_assert!(series.starts_with("redis_"), "{line:?}");
                prop_assert!(value.parse::<f64>().is_ok(), "{line:?}");
            }
        }

        #[test]
        fn any_bytes_are_an_answer_or_none(bytes: Vec<u8>) {
            let _ = server().learn([(Ask::InfoAll, Value::Bulk(bytes.into()))], &mut Answers::default());
        }
    }
}
