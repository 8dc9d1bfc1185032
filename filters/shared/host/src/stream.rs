//! One exchange, as the SDK calls it: each phase goes to the request's passage.

use std::cell::RefCell;
use std::rc::Rc;

use filter_core::{Filter, Phase};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::answer;
use crate::passage::Passage;
use crate::root::Plugin;

pub(crate) struct Stream<F: Filter> {
    id: u32,
    /// None if the plugin was never configured: a proxy may run one so when the first configuration that it got was
    /// refused.
    plugin: Option<Rc<Plugin<F>>>,
    /// The plugin knows it too, while it is held until there is news.
    passage: Rc<RefCell<Passage<F>>>,
}

impl<F: Filter> Stream<F> {
    pub(crate) fn new(id: u32, plugin: Option<Rc<Plugin<F>>>) -> Self {
        Self { id, plugin, passage: Rc::default() }
    }

    /// Lets the plugin know of a request that is held until there is news.
    fn register(&self, plugin: &Plugin<F>) {
        let waits = self.passage.try_borrow().is_ok_and(|passage| passage.waits_for_news());
        if waits {
            plugin.waiting.add(self.id, &self.passage);
        }
    }
}

impl<F: Filter> Context for Stream<F> {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body: usize, _: usize) {
        let (Some(plugin), Ok(mut passage)) = (&self.plugin, self.passage.try_borrow_mut()) else {
            return;
        };
        if passage.awaits(token) {
            let answer = answer::read(headers, body);
            passage.go_on(plugin, &answer, plugin.waiting.room());
            drop(passage);
            self.register(plugin);
        }
    }
}

impl<F: Filter> HttpContext for Stream<F> {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        // Nothing else can have hold of it: the proxy runs one callback at a time.
        let Ok(mut passage) = self.passage.try_borrow_mut() else { return Action::Pause };
        let Some(plugin) = &self.plugin else { return passage.fault("not_configured") };
        let action = passage.on_request(plugin, plugin.waiting.room());
        drop(passage);
        self.register(plugin);
        action
    }

    fn on_http_request_body(&mut self, _: usize, _: bool) -> Action {
        self.passage.try_borrow().map_or(Action::Pause, |passage| passage.rest())
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        self.passage.try_borrow().map_or(Action::Pause, |passage| passage.rest())
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        if F::LATER.contains(&Phase::Response)
            && let (Some(plugin), Ok(mut passage)) = (&self.plugin, self.passage.try_borrow_mut())
        {
            passage.on_response(plugin);
        }
        Action::Continue
    }

    fn on_log(&mut self) {
        if F::LATER.contains(&Phase::Log)
            && let (Some(plugin), Ok(mut passage)) = (&self.plugin, self.passage.try_borrow_mut())
        {
            passage.on_log(plugin);
        }
    }
}
