//! Which plugin and which exchange a callback is about.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::mem;
use std::rc::Rc;

use filter_core::{Answer, Chores, Filter, Phase};
use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::exports::Action;
use crate::passage::Passage;
use crate::plugin::{Caller, Plugin};
use crate::{abi, answer, world};

/// How many background calls may be sent at one time in the place of such that could not be sent.
const MAX_REPLACED: usize = 64;

/// What a VM holds of one filter: its plugins, and the exchanges of each that something is kept of.
///
/// A proxy makes no callback while another one runs, but for memory, so that nothing here is asked for while it is lent.
pub struct Module<F: Filter> {
    roots: RefCell<Vec<Root<F>>>,
    /// The context that was made last, if it was not asked about yet, with its root's: in Envoy, the one that comes next.
    latest: Cell<Option<Fresh>>,
    /// The others that were not asked about yet.
    fresh: RefCell<Vec<Fresh>>,
    /// By the numbers of their contexts. The proxy gives those, so that nobody can choose numbers that collide.
    streams: RefCell<FxHashMap<u32, Stream<F>>>,
}

/// A context that was made and not asked about yet.
#[derive(Clone, Copy)]
struct Fresh {
    context: u32,
    root: u32,
}

/// The context of a plugin.
struct Root<F: Filter> {
    id: u32,
    /// None until it is configured. A proxy may run one so when the first configuration that it got was refused.
    plugin: Option<Rc<Plugin<F>>>,
}

/// An exchange of which something is kept: it was asked about, and does not go on, or its filter heeds what comes of it.
struct Stream<F: Filter> {
    plugin: Option<Rc<Plugin<F>>>,
    passage: Passage<F>,
}

impl<F: Filter> Module<F> {
    /// A module that knows nothing.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it is the value of a static")]
    pub const fn new() -> Self {
        Self {
            roots: RefCell::new(Vec::new()),
            latest: Cell::new(None),
            fresh: RefCell::new(Vec::new()),
            streams: RefCell::new(FxHashMap::with_hasher(FxBuildHasher)),
        }
    }

    /// A context was made: a plugin's, if its root is 0.
    pub fn on_context_create(&self, context: u32, root: u32) {
        if root == 0 {
            self.roots.borrow_mut().push(Root { id: context, plugin: None });
        } else if let Some(other) = self.latest.replace(Some(Fresh { context, root })) {
            self.fresh.borrow_mut().push(other);
        }
    }

    /// The configuration of a plugin has come; false refuses it.
    pub fn on_configure(&self, root: u32, size: usize) -> bool {
        match Plugin::configure(size) {
            Ok(plugin) => {
                let mut roots = self.roots.borrow_mut();
                let root = roots.iter_mut().find(|each| each.id == root);
                root.map(|root| root.plugin = Some(Rc::new(plugin))).is_some()
            }
            Err(invalid) => {
                log::error!("{}: configuration refused {invalid}", F::NAME);
                false
            }
        }
    }

    /// Time has passed.
    pub fn on_tick(&self, root: u32) {
        let Some(plugin) = self.plugin(root) else { return };
        let chores = plugin.filter.on_tick(&world::PORTS);
        self.perform(&plugin, chores, true);
        be_effective::<F>(root);
    }

    /// A call is answered. To the proxy, all calls are the root's.
    pub fn on_http_call_response(&self, root: u32, token: u32, headers: usize, body: usize) {
        let Some(plugin) = self.plugin(root) else { return };
        let answer = answer::read(headers, body);
        match plugin.caller(token) {
            Some(Caller::Background(errand)) => {
                let chores = plugin.filter.on_fetched(errand, &answer, &world::PORTS);
                self.perform(&plugin, chores, false);
            }
            Some(Caller::Exchange(context)) => {
                if let Some(stream) = self.streams.borrow_mut().get_mut(&context)
                    && stream.passage.awaits(token)
                    && be_effective::<F>(context)
                {
                    stream.passage.go_on(&plugin, &answer);
                }
            }
            None => {}
        }
        be_effective::<F>(root);
    }

    /// The request has come.
    pub fn on_request_headers(&self, context: u32) -> Action {
        let roots = self.roots.borrow();
        let plugin = self.first(context).and_then(|root| configured(&roots, root));
        let mut passage = Passage::new(context);
        let action = match plugin {
            Some(plugin) => passage.on_request(plugin),
            None => passage.fault("not_configured"),
        };
        let heeds =
            |plugin: &Rc<Plugin<F>>| F::LATER.iter().any(|phase| passage.is_heeded(plugin, *phase));
        if action == Action::Pause || plugin.is_some_and(heeds) {
            let stream = Stream { plugin: plugin.cloned(), passage };
            self.streams.borrow_mut().insert(context, stream);
        }
        action
    }

    /// A body or trailers. What is not kept goes on.
    pub fn on_request_rest(&self, context: u32) -> Action {
        let streams = self.streams.borrow();
        streams.get(&context).map_or(Action::Continue, |stream| stream.passage.rest())
    }

    /// The response has come.
    pub fn on_response_headers(&self, context: u32) {
        if F::LATER.contains(&Phase::Response)
            && let Some(stream) = self.streams.borrow_mut().get_mut(&context)
            && let Some(plugin) = &stream.plugin
            && stream.passage.is_heeded(plugin, Phase::Response)
        {
            stream.passage.on_response(plugin);
        }
    }

    /// The end of an exchange, which may be one that never was asked about.
    pub fn on_log(&self, context: u32) {
        if !F::LATER.contains(&Phase::Log) {
            return;
        }
        // Nothing is asked of it any more, so that it cannot be told twice.
        if let Some(stream) = self.taken(context) {
            if let Stream { plugin: Some(plugin), mut passage } = stream
                && passage.is_heeded(&plugin, Phase::Log)
            {
                passage.on_log(&plugin);
            }
        } else if let Some(root) = self.first(context) {
            let roots = self.roots.borrow();
            if let Some(plugin) = configured(&roots, root) {
                Passage::new(context).on_log(plugin);
            }
        }
    }

    /// A context is no more.
    pub fn on_delete(&self, context: u32) {
        // Dropped when nothing is borrowed any more.
        let stream = self.taken(context);
        if stream.is_none() && self.first(context).is_none() {
            self.forget(context);
        }
    }

    /// What is kept of an exchange, which is not kept any longer. Of most requests nothing is, and then there is no search.
    fn taken(&self, context: u32) -> Option<Stream<F>> {
        let mut streams = self.streams.borrow_mut();
        if streams.is_empty() { None } else { streams.remove(&context) }
    }

    /// The plugin of a root context, if it was configured.
    fn plugin(&self, root: u32) -> Option<Rc<Plugin<F>>> {
        configured(&self.roots.borrow(), root).cloned()
    }

    /// The root of a context that was not asked about yet, and is from now on.
    fn first(&self, context: u32) -> Option<u32> {
        match self.latest.get() {
            Some(latest) if latest.context == context => {
                self.latest.set(None);
                Some(latest.root)
            }
            _ if self.fresh.borrow().is_empty() => None,
            _ => self.earlier(context),
        }
    }

    /// The same of a context that is not the last that was made.
    #[cold]
    #[inline(never)]
    fn earlier(&self, context: u32) -> Option<u32> {
        let mut fresh = self.fresh.borrow_mut();
        let at = fresh.iter().rposition(|each| each.context == context)?;
        Some(fresh.swap_remove(at).root)
    }

    /// Drops a plugin, if the context is one's.
    fn forget(&self, context: u32) {
        let is_root = self.roots.borrow().iter().any(|root| root.id == context);
        if is_root {
            self.roots.borrow_mut().retain(|root| root.id != context);
        }
    }

    /// Counts, sends, and asks again about held requests. The effective context is another one afterwards.
    fn perform(&self, plugin: &Plugin<F>, mut chores: Chores, due: bool) {
        // All are sent, as their answers are waited for. Only who answers each failure with another call would do so for ever.
        let most = chores.calls.len().saturating_add(MAX_REPLACED);
        let mut calls = VecDeque::from(mem::take(&mut chores.calls));
        for _ in 0..most {
            let Some((errand, callout)) = calls.pop_front() else { break };
            if plugin.call(&callout, Caller::Background(errand)).is_err() {
                let failed = plugin.filter.on_fetched(errand, &Answer::Failure, &world::PORTS);
                chores.extend(failed);
                calls.extend(mem::take(&mut chores.calls));
            }
        }
        if !calls.is_empty() {
            log::error!("{}: {} calls given up, after {most} attempts", F::NAME, calls.len());
        }
        for count in &chores.counts {
            plugin.stats.count(count);
        }
        if due || chores.resume {
            self.resume(plugin, chores.resume);
        }
    }

    /// Asks again about the exchanges that wait and are due, or about all that wait if there is news.
    fn resume(&self, plugin: &Plugin<F>, news: bool) {
        let now = world::PORTS.clock.monotonic();
        let mut streams = self.streams.borrow_mut();
        for context in plugin.waiting.take() {
            let waiting = streams.get_mut(&context).map(|stream| &mut stream.passage);
            let Some(passage) = waiting.filter(|passage| passage.waits_for_news()) else {
                continue;
            };
            if (news || passage.is_due(now)) && be_effective::<F>(context) {
                passage.go_on(plugin, &Answer::Resumed);
            } else {
                plugin.waiting.add(context);
            }
        }
    }
}

/// The plugin of a root context, if it was configured.
fn configured<F: Filter>(roots: &[Root<F>], root: u32) -> Option<&Rc<Plugin<F>>> {
    roots.iter().find(|each| each.id == root)?.plugin.as_ref()
}

/// Makes the calls that follow be about this context.
fn be_effective<F: Filter>(context: u32) -> bool {
    let done = abi::set_effective_context(context);
    if let Err(status) = done {
        log::error!("{}: context {context} not set: {status:?}", F::NAME);
    }
    done.is_ok()
}
