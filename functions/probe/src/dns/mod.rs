//! Host names → addresses, for all checks of a run.
//!
//! `hickory-resolver` does the look-ups: it honours a deadline, which `getaddrinfo` does not (a
//! hung name server holds its thread for as long as it likes), needs no thread per look-up, and
//! reads `/etc/hosts` and `resolv.conf` (search list, ndots, several servers) itself. What glibc
//! knows beyond these (LDAP, mDNS and other modules of nsswitch.conf) is not asked.
//!
//! Look-ups of one name at one time are one look-up, and its answer serves the round for as long
//! as its time to live says. Only the check that made the look-up reports what it cost.
//!
//! Hickory shares questions under way and remembers answers as well. What is kept here knows what it
//! does not: whether this check asked or found an answer, that nobody answered (so that a name server
//! that is away is not asked by 10,000 checks in turn), and that a retry wants to ask anew.
//!
//! No answer for one name is that name's fault only while the name servers answer at all. So when a
//! look-up stays without one, they are asked for what every one of them knows, the root.

mod resolver;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sitewatch::site::AddressFamily;
use tokio::sync::watch;

use self::resolver::{Service, ask_for_root, resolve, start};

/// How long a name server that did not answer is not asked again for the same name.
const UNANSWERED: Duration = Duration::from_secs(5);
/// An answer of time to live 0 still serves the checks that asked together.
const MIN_TTL: Duration = Duration::from_secs(1);
/// How long name servers may take to show that they answer at all: they know the root by heart.
const ALIVE: Duration = Duration::from_secs(1);
/// And how long our own thread may take to say so.
const SLACK: Duration = Duration::from_millis(100);

/// What a look-up found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The addresses; never empty.
    Addresses(Arc<[IpAddr]>),
    /// There are none: why, for people.
    Nothing(Arc<str>),
    /// No name server answered: why, for people. [`Dns::answers`] says whose fault that is.
    Silence(Arc<str>),
    /// No name server could be asked, which says nothing of the name: why, for people.
    NotAsked(Arc<str>),
}

/// The answer to a check.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) found: Found,
    /// What the look-up took; `None`: another check had made it.
    pub(crate) took: Option<Duration>,
}

/// The run's resolver. Nothing is started before the first name.
#[derive(Debug, Default)]
pub(crate) struct Dns {
    service: OnceLock<Result<Service, String>>,
    names: Mutex<HashMap<(String, AddressFamily), Arc<Name>>>,
    /// The latest question for the root.
    root: Mutex<Option<Arc<Name>>>,
}

#[derive(Debug)]
struct Name {
    asked: Instant,
    answer: watch::Sender<Option<Answered>>,
}

#[derive(Clone, Debug)]
struct Answered {
    found: Found,
    at: Instant,
    good_until: Instant,
}

impl Dns {
    /// Looks a name up, or waits for the check that does. An answer of before `again` that found
    /// nothing is not believed: retries are there to ask anew.
    pub(crate) async fn look_up(
        &self,
        host: &str,
        family: AddressFamily,
        again: Option<Instant>,
    ) -> Answer {
        let (name, ours) = self.name(host, family, again);
        if ours {
            self.ask(host, family, &name);
        }
        let answered = name.wait().await;
        Answer {
            took: ours.then(|| answered.at.saturating_duration_since(name.asked)),
            found: answered.found,
        }
    }

    /// Whether any name server answers anything, asked now or a moment ago. Takes [`ALIVE`] at most.
    pub(crate) async fn answers(&self) -> bool {
        let name = self.root();
        let until = name.asked + ALIVE + SLACK;
        let answered = tokio::time::timeout_at(until.into(), name.wait()).await;
        answered.is_ok_and(|answered| matches!(answered.found, Found::Nothing(_)))
    }

    fn root(&self) -> Arc<Name> {
        let mut root = self.root.lock();
        match &*root {
            Some(known) if !known.is_stale(None) => Arc::clone(known),
            _ => {
                let name = Arc::new(Name::asked_now());
                self.ask_for_root(&name);
                Arc::clone(root.insert(name))
            }
        }
    }

    fn ask_for_root(&self, name: &Arc<Name>) {
        let service = match self.service.get_or_init(start) {
            Ok(service) => service,
            Err(why) => return name.answer(Found::NotAsked(why.as_str().into()), UNANSWERED),
        };
        let (resolver, name) = (Arc::clone(&service.resolver), Arc::clone(name));
        service.runtime.spawn(async move {
            let (found, good_for) = ask_for_root(&resolver).await;
            name.answer(found, good_for);
        });
    }

    /// The entry of a name, and whether the caller has to ask for it.
    fn name(&self, host: &str, family: AddressFamily, again: Option<Instant>) -> (Arc<Name>, bool) {
        let mut names = self.names.lock();
        match names.entry((host.to_owned(), family)) {
            Entry::Occupied(mut known) => {
                if known.get().is_stale(again) {
                    known.insert(Arc::new(Name::asked_now()));
                    (Arc::clone(known.get()), true)
                } else {
                    (Arc::clone(known.get()), false)
                }
            }
            Entry::Vacant(new) => (Arc::clone(new.insert(Arc::new(Name::asked_now()))), true),
        }
    }

    fn ask(&self, host: &str, family: AddressFamily, name: &Arc<Name>) {
        match self.service.get_or_init(start) {
            Ok(service) => {
                let (resolver, name, host) = (
                    Arc::clone(&service.resolver),
                    Arc::clone(name),
                    host.to_owned(),
                );
                service.runtime.spawn(async move {
                    let (found, good_for) = resolve(&resolver, &host, family).await;
                    name.answer(found, good_for);
                });
            }
            Err(why) => name.answer(Found::NotAsked(why.as_str().into()), UNANSWERED),
        }
    }
}

impl Name {
    fn asked_now() -> Self {
        Self {
            asked: Instant::now(),
            answer: watch::Sender::new(None),
        }
    }

    fn is_stale(&self, again: Option<Instant>) -> bool {
        self.answer.borrow().as_ref().is_some_and(|answer| {
            let failed = !matches!(answer.found, Found::Addresses(_));
            answer.good_until <= Instant::now()
                || again.is_some_and(|again| failed && answer.at < again)
        })
    }

    fn answer(&self, found: Found, good_for: Duration) {
        let at = Instant::now();
        self.answer.send_replace(Some(Answered {
            found,
            at,
            good_until: at + good_for.max(MIN_TTL),
        }));
    }

    async fn wait(&self) -> Answered {
        let mut answers = self.answer.subscribe();
        loop {
            if let Some(answered) = answers.borrow_and_update().clone() {
                return answered;
            }
            // The sender is ours: it cannot be gone.
            if answers.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, UdpSocket};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use hickory_resolver::TokioResolver;
    use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
    use hickory_resolver::net::runtime::TokioRuntimeProvider;

    use super::resolver::serve;
    use super::*;

    impl Dns {
        /// For who has no runtime; `None`: there was no answer by then.
        fn look_up_by(
            &self,
            host: &str,
            family: AddressFamily,
            deadline: Instant,
            again: Option<Instant>,
        ) -> Option<Answer> {
            let answer = async {
                tokio::time::timeout_at(deadline.into(), self.look_up(host, family, again)).await
            };
            tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap()
                .block_on(answer)
                .ok()
        }
    }

    /// A resolver that knows only this name server.
    fn asking(server: SocketAddr) -> Dns {
        let mut connection = ConnectionConfig::udp();
        connection.port = server.port();
        let server = NameServerConfig::new(server.ip(), true, vec![connection]);
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let service = serve(|| {
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
                .build()
                .map_err(|error| error.to_string())
        });
        Dns {
            service: OnceLock::from(service),
            ..Dns::default()
        }
    }

    #[test]
    fn a_name_server_that_never_answers_costs_each_check_its_deadline() {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let dns = asking(silent.local_addr().unwrap());
        for _ in 0..2 {
            let began = Instant::now();
            let deadline = began + Duration::from_millis(100);
            assert!(
                dns.look_up_by("a.example", AddressFamily::Any, deadline, None)
                    .is_none()
            );
            let elapsed = began.elapsed();
            assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
        }
        let mut query = [0; 512];
        let length = silent.recv(&mut query).unwrap();
        assert!(query[..length].windows(7).any(|text| text == b"example"));
    }

    /// Answers every question with 192.0.2.7 (RFC 1035, section 4), good for a minute, and counts.
    fn answering(socket: &UdpSocket, questions: &AtomicUsize) {
        let mut message = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut message) {
            questions.fetch_add(1, Ordering::SeqCst);
            // The question: twelve bytes of header, the name up to its empty label, four bytes.
            let name = message[12..length].iter().position(|byte| *byte == 0);
            let question = &message[12..12 + name.unwrap() + 5];
            let mut answer = message[..2].to_vec();
            answer.extend([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
            answer.extend(question);
            // The name of the question, A, IN, a minute, four bytes.
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
            socket.send_to(&answer, client).unwrap();
        }
    }

    #[test]
    fn checks_of_one_host_make_one_look_up() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let dns = asking(socket.local_addr().unwrap());
        let questions = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&questions);
        std::thread::spawn(move || answering(&socket, &counted));
        let deadline = Instant::now() + Duration::from_secs(10);
        let answers: Vec<Answer> = std::thread::scope(|scope| {
            let checks: Vec<_> = (0..20)
                .map(|_| {
                    scope.spawn(|| dns.look_up_by("a.example", AddressFamily::V4, deadline, None))
                })
                .collect();
            checks
                .into_iter()
                .map(|check| check.join().unwrap().unwrap())
                .collect()
        });
        let found = Found::Addresses([IpAddr::from([192, 0, 2, 7])].into());
        assert!(answers.iter().all(|answer| answer.found == found));
        let costs = answers.iter().filter(|answer| answer.took.is_some());
        assert_eq!((costs.count(), questions.load(Ordering::SeqCst)), (1, 1));
    }

    #[test]
    fn ipv4_may_come_a_little_later_than_ipv6() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let dns = asking(socket.local_addr().unwrap());
        std::thread::spawn(move || {
            let mut message = [0; 512];
            while let Ok((length, client)) = socket.recv_from(&mut message) {
                let name = message[12..length].iter().position(|byte| *byte == 0);
                let question = message[12..12 + name.unwrap() + 5].to_vec();
                let mut answer = message[..2].to_vec();
                answer.extend([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
                answer.extend(&question);
                // AAAA is type 28, of sixteen bytes.
                let is_v6 = question[question.len() - 3] == 28;
                let (kind, data) = if is_v6 {
                    (28, &b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"[..])
                } else {
                    (1, &[192, 0, 2, 7][..])
                };
                answer.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, data.len() as u8]);
                answer.extend(data);
                let socket = socket.try_clone().unwrap();
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(if is_v6 { 0 } else { 300 }));
                    socket.send_to(&answer, client).unwrap();
                });
            }
        });
        let deadline = Instant::now() + Duration::from_secs(10);
        let answer = dns.look_up_by("a.example", AddressFamily::Any, deadline, None);
        let Some(Found::Addresses(addresses)) = answer.map(|answer| answer.found) else {
            panic!("found nothing");
        };
        assert!(
            addresses.contains(&IpAddr::from([192, 0, 2, 7])),
            "{addresses:?}"
        );
        assert_eq!(addresses.len(), 2);
    }

    #[test]
    fn a_retry_does_not_believe_an_earlier_failure() {
        let dns = Dns::default();
        let (name, _) = dns.name("a.example", AddressFamily::Any, None);
        name.answer(Found::Nothing("no answer".into()), Duration::from_secs(60));
        let ours = |again| dns.name("a.example", AddressFamily::Any, again).1;
        assert!(!ours(None), "another check of the same host");
        assert!(ours(Some(Instant::now())), "a retry");
        assert!(!ours(Some(Instant::now())), "another retry, beside it");
    }

    #[test]
    fn an_answer_serves_those_who_ask_later_for_nothing() {
        let dns = Dns::default();
        let (name, ours) = dns.name("a.example", AddressFamily::Any, None);
        assert!(ours);
        let found = Found::Addresses([IpAddr::from([192, 0, 2, 1])].into());
        name.answer(found.clone(), Duration::from_secs(60));
        let answer = dns
            .look_up_by("a.example", AddressFamily::Any, Instant::now(), None)
            .unwrap();
        assert_eq!((answer.found, answer.took), (found, None));
    }

    #[test]
    fn a_hung_look_up_costs_no_more_than_the_deadline() {
        let dns = Dns::default();
        dns.name("a.example", AddressFamily::Any, None);
        let began = Instant::now();
        assert!(
            dns.look_up_by(
                "a.example",
                AddressFamily::Any,
                began + Duration::from_millis(30),
                None,
            )
            .is_none()
        );
        assert!(began.elapsed() < Duration::from_secs(2));
    }
}
