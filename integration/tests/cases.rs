//! Every case of every filter through a real Envoy: once as a chain of four plugins, once as the suite.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::collections::{BTreeMap, BTreeSet};

use integration::corpus::{Corpus, FILTERS, neutral, play};
use integration::discovered::Discovered;
use integration::refusal::refusals;
use integration::{Bootstrap, Client, Envoy, Listener, Plugin, Upstream, Validation, validate};
use serde_json::{Value, json};

#[test]
fn steps_through_the_chain() {
    steps("chain", |corpus, listener| {
        let sections = corpus.sections();
        FILTERS.iter().fold(listener, |listener, filter| match sections.get(filter) {
            Some(section) => listener.configure(filter, filter, &section.to_string()).unwrap(),
            None => listener.without(filter).unwrap(),
        })
    });
}

#[test]
fn steps_through_the_suite() {
    steps("suite", |corpus, listener| {
        listener.configure("suite", "suite", &corpus.suite().to_string()).unwrap()
    });
}

#[test]
fn refusals_by_the_plugins() {
    refused(|filter, document, pointer| Some((filter.to_owned(), document, pointer.to_owned())));
}

#[test]
fn refusals_by_the_suite() {
    refused(|filter, document, pointer| {
        let is_json = serde_json::from_str::<Value>(&document).is_ok();
        // What is no JSON by itself makes a suite's document that is none either, and is refused as a whole.
        (filter != "suite" && is_json).then(|| {
            let document = format!("{{\"{filter}\": {document}}}");
            ("suite".to_owned(), document, format!("/{filter}{pointer}"))
        })
    });
}

/// Buckets belong to a rule's name, and all files share one proxy.
#[test]
fn no_two_files_share_the_name_of_a_limit() {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for corpus in Corpus::read().unwrap() {
        let own = corpus.file.configuration();
        let section = if corpus.filter == "suite" { &own["ratelimit"] } else { &own };
        let rules = section["rules"].as_array().into_iter().flatten();
        let names: BTreeSet<&str> = rules
            .filter(|_| corpus.filter != "authz")
            .filter_map(|rule| rule["name"].as_str())
            .collect();
        for name in names {
            if let Some(other) = files.insert(name.to_owned(), corpus.name()) {
                panic!("the limit `{name}` is in {other} and in {}", corpus.name());
            }
        }
    }
}

/// Plays every file to a listener of its own, all of one Envoy.
fn steps(template: &str, configured: impl Fn(&Corpus, Listener) -> Listener) {
    let upstream = Upstream::start("v1").unwrap();
    let mut bootstrap = Bootstrap::before(template, &[("v1", upstream.address())]).unwrap();
    let demo = bootstrap.demo().unwrap().with_raw_paths().unwrap();
    let (skipped, played): (Vec<Corpus>, Vec<Corpus>) = Corpus::read()
        .unwrap()
        .into_iter()
        .filter(|corpus| !corpus.file.steps.is_empty())
        .partition(|corpus| corpus.file.moves_time());
    let listener = |corpus: &Corpus| {
        let named = demo.clone().named(&corpus.name()).unwrap();
        configured(corpus, named.logging(corpus.states()).unwrap())
    };
    bootstrap.set_listeners(played.iter().map(listener).collect()).unwrap();
    let envoy = Envoy::start(&bootstrap, 1).unwrap();
    let (mut steps, mut told) = (0, Vec::new());
    for corpus in &played {
        let mut client = Client::new(envoy.listener(&corpus.name()).unwrap());
        for step in &corpus.file.steps {
            steps += 1;
            let differences = play(&mut client, &envoy.access_log(), step);
            told.extend(differences.iter().map(|told| format!("{}: {told}", corpus.name())));
        }
    }
    println!(
        "{template}: {steps} steps of {} files played; {} files move time and run natively only",
        played.len(),
        skipped.len()
    );
    assert!(told.is_empty(), "\n{}\n", told.join("\n"));
}

/// Pushes every configuration that must be refused to a running Envoy, as `placed` puts it: for which plugin, as which
/// document, to be refused where. The first of each file is also judged by an Envoy that would start with it.
fn refused(placed: impl Fn(&str, String, &str) -> Option<(String, String, String)>) {
    let upstream = Upstream::start("v1").unwrap();
    let mut pushed: BTreeMap<String, Discovered> = BTreeMap::new();
    let (mut judged, mut told) = (0, Vec::new());
    for corpus in Corpus::read().unwrap() {
        let mut first = true;
        for refusal in &corpus.file.refused {
            let document = String::from_utf8(refusal.bytes().unwrap()).unwrap();
            let Some((filter, document, pointer)) =
                placed(&corpus.filter, document, &refusal.pointer)
            else {
                continue;
            };
            let mut plugin = Plugin::shipped(&filter, &Value::Null);
            plugin.configuration = integration::plugin::text(&document);
            let mut verdicts = vec![if let Some(running) = pushed.get_mut(&filter) {
                running.push(&plugin).unwrap()
            } else {
                let good = Plugin::shipped(&filter, &good(&filter));
                let mut running = Discovered::start(&good, upstream.address()).unwrap();
                let verdict = running.push(&plugin).unwrap();
                pushed.insert(filter.clone(), running);
                verdict
            }];
            if std::mem::take(&mut first) {
                verdicts.push(judge(plugin).unwrap());
            }
            judged += verdicts.len();
            for verdict in verdicts {
                let lines = refusals(&verdict.log);
                let as_told = matches!(lines.as_slice(), [line]
                    if line.filter == filter
                        && line.pointer == pointer
                        && line.expected.contains(&refusal.expected)
                        && line.found.contains(&refusal.found)
                        && line.level == "error");
                if verdict.accepted || !as_told {
                    let (name, accepted) = (&refusal.name, verdict.accepted);
                    told.push(format!(
                        "{}: {name}: accepted: {accepted}, {lines:?}",
                        corpus.name()
                    ));
                }
            }
        }
    }
    println!("{judged} judgements");
    assert!(told.is_empty(), "\n{}\n", told.join("\n"));
}

/// A configuration to start with.
fn good(filter: &str) -> Value {
    if filter == "suite" { json!({"telemetry": {}}) } else { neutral(filter) }
}

fn judge(plugin: Plugin) -> Result<Validation, String> {
    let mut bootstrap = Bootstrap::shipped("telemetry")?;
    let demo = bootstrap.demo()?.with_plugins(&[plugin])?;
    bootstrap.set_listeners(vec![demo])?;
    validate(&bootstrap)
}
