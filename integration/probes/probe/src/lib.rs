//! A filter that does everything: filter-host under a real Envoy. What it does to a request is told by the request's
//! header `x-probe`; `integration/tests/host.rs` tells, and looks.

use std::cell::RefCell;
use std::time::Duration;

use filter_core::cells::{Step, Stored, Updated, update};
use filter_core::decision::Reason;
use filter_core::metrics::{Family, LabelValue};
use filter_core::outcome::GrpcStatus;
use filter_core::ports::PublicKey;
use filter_core::{
    Answer, Attribute, Callout, Chores, Count, Edit, Errand, Filter, HeaderName, Headers, Invalid,
    Ledger, Metrics, Outcome, Phase, Ports, Publication, Reply, Rule, Verdict, View,
};

/// The probe.
struct Probe {
    ledger: Ledger,
    counter: Family,
    histogram: Family,
    /// What this worker fetched on its own.
    news: RefCell<String>,
}

/// Names where to fetch news from, to all workers.
const NEWS_CELL: &[u8] = b"probe-news";

/// The number of the only background call.
const NEWS: Errand = Errand(7);

#[derive(Clone, Copy, PartialEq)]
enum Why {
    Asked,
}

impl Reason for Why {
    const ALL: &'static [Self] = &[Self::Asked];

    fn as_str(self) -> &'static str {
        "asked"
    }
}

/// Enough of them to be fetched by one expression; some of them absent in most exchanges.
const LOGGED: [Attribute; 7] = [
    Attribute::SourceAddress,
    Attribute::RequestDuration,
    Attribute::ResponseCode,
    Attribute::ResponseCodeDetails,
    Attribute::RouteName,
    Attribute::ClusterName,
    Attribute::FilterState("probe_said"),
];

/// Of each kind that the proxy knows: the hash, a key, and a signature of [`SIGNED`] by it.
const KEYS: [(&str, &[u8], &[u8]); 4] = [
    ("sha256", include_bytes!("es256-key.der"), include_bytes!("es256-signature.der")),
    ("sha384", include_bytes!("es384-key.der"), include_bytes!("es384-signature.der")),
    ("sha512", include_bytes!("es512-key.der"), include_bytes!("es512-signature.der")),
    ("sha512", include_bytes!("rs512-key.der"), include_bytes!("rs512-signature.der")),
];
const SIGNED: &[u8] = b"signed by the demo";

fn label(text: &str) -> Vec<LabelValue> {
    LabelValue::parse(text).into_iter().collect()
}

/// Sets a request header that the upstream shows.
fn told(name: &'static str, value: impl Into<Vec<u8>>) -> Edit {
    Edit::Set(HeaderName::literal(name), value.into())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every copy of a header, as hexadecimal.
fn copies(headers: Headers<'_>, name: &str) -> String {
    headers.copies(name).map(hex).collect::<Vec<_>>().join(",")
}

fn question(cluster: &[u8]) -> Callout {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Callout {
        cluster: String::from_utf8_lossy(cluster).into_owned(),
        headers: vec![
            header(":method", "POST"),
            header(":path", "/asked"),
            header(":authority", "probe"),
            header("x-echo-status", "204"),
        ],
        body: b"question".to_vec(),
        timeout: Duration::from_secs(2),
    }
}

/// The status of an answer, and its body's size.
fn came(answer: &Answer) -> (String, String) {
    match answer {
        Answer::Response { headers, body } => {
            (copies(Headers::new(headers, &[]), ":status"), body.len().to_string())
        }
        Answer::Failure => ("failure".to_owned(), String::new()),
        Answer::Resumed => ("resumed".to_owned(), String::new()),
    }
}

impl Probe {
    fn cell(&self, ask: &[u8], ports: &Ports<'_>) -> String {
        match ask {
            b"create" => match ports.cells.store(b"probe-created", b"x", None) {
                Ok(Stored::Swapped) => "swapped".to_owned(),
                Ok(Stored::Conflict) => "conflict".to_owned(),
                Err(_) => "unavailable".to_owned(),
            },
            _ => {
                let next = update(ports.cells, b"probe-counted", 1000, |held| {
                    let held = held.and_then(|bytes| bytes.first_chunk().copied());
                    let next = held.map_or(0, u64::from_le_bytes).saturating_add(1);
                    Step::Replace(next.to_le_bytes().to_vec(), next)
                });
                match next {
                    Updated::Done(count) => count.to_string(),
                    Updated::Contended => "contended".to_owned(),
                    Updated::Unavailable => "unavailable".to_owned(),
                }
            }
        }
    }
}

impl Filter for Probe {
    const NAME: &'static str = "probe";
    type Memo = Vec<Edit>;

    fn configure(_: &[u8], metrics: &mut Metrics) -> Result<Self, Invalid> {
        let invalid = |fault: filter_core::metrics::InvalidMetric| {
            Invalid::at("", "metrics", fault.to_string())
        };
        let rules = Rule::parse("asked-for").into_iter().collect();
        let labels = || vec![("path", label("/a/{b}")), ("quote", label("\"é\\"))];
        Ok(Self {
            ledger: Ledger::open::<Why>(Self::NAME, rules, metrics).map_err(invalid)?,
            counter: metrics.counter("probe_counted_total", labels()).map_err(invalid)?,
            histogram: metrics
                .histogram("probe_size_bytes", vec![("path", label("/a/{b}"))])
                .map_err(invalid)?,
            news: RefCell::default(),
        })
    }

    fn attributes(&self, phase: Phase) -> Vec<Attribute> {
        match phase {
            Phase::Request => vec![Attribute::SourceAddress],
            Phase::Response => Vec::new(),
            Phase::Log => LOGGED.to_vec(),
        }
    }

    fn on_request(&self, view: &View<'_>, memo: &mut Vec<Edit>, ports: &Ports<'_>) -> Outcome {
        let headers = view.request();
        let ask = headers.copies("x-probe").next().unwrap_or_default();
        let argument = headers.copies("x-argument").next().unwrap_or_default();
        let edits = |edits: Vec<Edit>| Outcome { edits, ..Outcome::pass() };
        match ask {
            #[expect(clippy::panic, reason = "this is what it is asked for")]
            b"panic" => panic!("asked for"),
            b"copies" => edits(vec![
                told("x-copies", copies(headers, "x-many")),
                told("x-address", view.text(Attribute::SourceAddress).unwrap_or_default()),
            ]),
            b"clean" => edits(vec![
                Edit::Remove(HeaderName::literal("x-many")),
                told("x-argument", "ours"),
                Edit::Remove(HeaderName::literal("x-absent")),
            ]),
            b"cell" => edits(vec![told("x-cell", self.cell(argument, ports))]),
            b"count" => Outcome {
                counts: vec![
                    Count::Add(self.counter.series(&[0, 0]), 3),
                    Count::Record(self.histogram.series(&[0]), 250),
                ],
                ..Outcome::because(self.ledger.by(0, Why::Asked))
            },
            b"reply" => Outcome::reply(
                Reply {
                    status: 418,
                    grpc_status: GrpcStatus::ResourceExhausted,
                    headers: vec![(HeaderName::literal("x-reply"), b"yes".to_vec())],
                    body: b"as asked".to_vec(),
                    details: String::new(),
                },
                self.ledger.by(0, Why::Asked),
            ),
            b"verify" => {
                let verify = |hash: Option<&'static str>, text| {
                    let told = KEYS.map(|(own, der, signature)| {
                        let key = PublicKey { hash: hash.unwrap_or(own), der };
                        format!("{:?}", ports.signatures.verify(&key, text, signature))
                    });
                    told.join(" ")
                };
                edits(vec![
                    told("x-right", verify(None, SIGNED)),
                    told("x-wrong", verify(None, b"something else")),
                    told("x-lacking", verify(Some("no-such-hash"), SIGNED)),
                ])
            }
            b"publish" => Outcome {
                publish: vec![Publication { name: "probe_said", value: argument.to_vec() }],
                reroute: true,
                ..Outcome::pass()
            },
            b"world" => edits(vec![
                told("x-seed", hex(&ports.entropy.seed())),
                told("x-wall", ports.clock.wall().as_secs().to_string()),
                told("x-monotonic", ports.clock.monotonic().as_nanos().to_string()),
            ]),
            b"response" => {
                memo.push(told("x-answered", argument));
                memo.push(Edit::Remove(HeaderName::literal("x-upstream-version")));
                Outcome::pass()
            }
            b"call" => Outcome {
                verdict: Verdict::Await(question(argument)),
                edits: vec![told("x-before", "waiting")],
                ..Outcome::pass()
            },
            b"hold" => {
                let longest = std::str::from_utf8(argument).ok().and_then(|text| text.parse().ok());
                Outcome {
                    verdict: Verdict::Hold(Duration::from_millis(longest.unwrap_or_default())),
                    edits: vec![told("x-before", "waiting")],
                    ..Outcome::pass()
                }
            }
            b"news" => {
                let _ =
                    update(ports.cells, NEWS_CELL, 1000, |_| Step::Replace(argument.to_vec(), ()));
                Outcome::pass()
            }
            _ => Outcome::pass(),
        }
    }

    fn on_answer(
        &self,
        view: &View<'_>,
        answer: &Answer,
        _: &mut Vec<Edit>,
        _: &Ports<'_>,
    ) -> Outcome {
        let before = copies(view.request(), "x-before");
        let (status, body) = came(answer);
        Outcome {
            edits: vec![
                told("x-status", status),
                told("x-body", body),
                told("x-seen", before),
                told("x-news", self.news.borrow().as_str()),
            ],
            ..Outcome::pass()
        }
    }

    fn on_response(&self, _: &View<'_>, memo: &mut Vec<Edit>, _: &Ports<'_>) -> Outcome {
        Outcome { edits: std::mem::take(memo), ..Outcome::pass() }
    }

    fn on_log(&self, view: &View<'_>, _: &mut Vec<Edit>, _: &Ports<'_>) -> Outcome {
        let told: Vec<String> = LOGGED
            .iter()
            .map(|attribute| match (view.text(*attribute), view.number(*attribute)) {
                (Some(text), _) => String::from_utf8_lossy(&text).into_owned(),
                (None, Some(number)) => number.to_string(),
                (None, None) => "-".to_owned(),
            })
            .collect();
        let value = told.join("|").into_bytes();
        Outcome { publish: vec![Publication { name: "probe_logged", value }], ..Outcome::pass() }
    }

    fn period(&self) -> Option<Duration> {
        Some(Duration::from_millis(50))
    }

    fn on_tick(&self, ports: &Ports<'_>) -> Chores {
        let wanted = ports.cells.load(NEWS_CELL).ok().flatten();
        let calls = wanted
            .filter(|_| self.news.borrow().is_empty())
            .map(|cell| (NEWS, question(&cell.value)));
        Chores { calls: calls.into_iter().collect(), ..Chores::default() }
    }

    fn on_fetched(&self, errand: Errand, answer: &Answer, _: &Ports<'_>) -> Chores {
        let (status, _) = came(answer);
        *self.news.borrow_mut() = format!("{}: {status}", errand.0);
        let counts = vec![Count::Add(self.counter.series(&[0, 0]), 100)];
        Chores { counts, resume: true, ..Chores::default() }
    }
}

filter_host::plugin!(Probe, Response, Log);
