//! What a request is, told once, when it arrives: its method, and the route that it takes.

use std::borrow::Cow;

use filter_core::cells::Cells;
use filter_core::matching::path::canonical;
use filter_core::metrics::LabelValue;
use filter_core::{Count, Headers};

use crate::end::End;
use crate::guess;
use crate::learned::{Lesson, Table};
use crate::method::{Method, Methods};
use crate::notes::{Note, Notes};
use crate::outcome::Ending;
use crate::route::{Route, Routes};
use crate::series::Taken;

/// All that routes are known by.
#[derive(Debug)]
pub(crate) struct Classifier {
    pub(crate) routes: Routes,
    /// Routes that are learned, if they are.
    pub(crate) learned: Option<Table>,
}

/// What a request was when it arrived. At its end its path may have been rewritten.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) taken: Taken,
    pub(crate) method: Method,
    pub(crate) grpc: bool,
    /// The template that may be learned from it.
    guess: Option<LabelValue>,
}

impl Classifier {
    /// What the request is. A path that servers read differently takes no route.
    pub(crate) fn classify(&self, request: Headers<'_>, cells: &dyn Cells) -> Arrival {
        let method = Method::of(request.method());
        let grpc = request.is_grpc();
        let arrival = |taken, guess| Arrival { taken, method, grpc, guess };
        let Ok(path) = canonical(request.path()) else { return arrival(Taken::None, None) };
        if let Some(rank) = self.routes.find(&path, method) {
            return arrival(Taken::Known(rank), None);
        }
        let guess = self.learned.as_ref().and_then(|table| Some((table, guess::template(&path)?)));
        match guess {
            None => arrival(Taken::None, None),
            Some((table, template)) => match table.find(template.as_str(), cells) {
                Some(place) => arrival(Taken::Learned(place), None),
                None => arrival(Taken::None, Some(template)),
            },
        }
    }

    /// Learns the route of a request that ended well, and has it take that.
    pub(crate) fn learn(
        &self,
        arrival: &mut Arrival,
        end: End,
        cells: &dyn Cells,
        notes: &Notes,
        counts: &mut Vec<Count>,
    ) {
        let (Some(table), Some(guess)) = (&self.learned, arrival.guess.take()) else { return };
        // Whoever looks for pages that there are not shall not fill the table with them.
        if end.outcome != Ending::Ok {
            return;
        }
        let mut note = |note| counts.extend(notes.count("http_route", note));
        match table.learn(&guess, cells) {
            Lesson::Known(place) => arrival.taken = Taken::Learned(place),
            Lesson::New(place) => {
                arrival.taken = Taken::Learned(place);
                note(Note::Learned);
            }
            Lesson::Full => note(Note::Overflow),
            Lesson::Lost => note(Note::Lost),
        }
    }

    /// The route that a request takes, if it is one of the configuration.
    pub(crate) fn route(&self, taken: Taken) -> Option<&Route> {
        match taken {
            Taken::Known(rank) => self.routes.ranked().get(rank),
            Taken::None | Taken::Learned(_) => None,
        }
    }

    /// The template of the route that a request takes.
    pub(crate) fn template(&self, taken: Taken) -> Option<Cow<'_, str>> {
        match taken {
            Taken::None => None,
            Taken::Known(rank) => {
                self.routes.ranked().get(rank).map(|route| route.template.as_str().into())
            }
            Taken::Learned(place) => {
                let learned = self.learned.as_ref()?.value(place);
                learned.map(|value| value.as_str().to_owned().into())
            }
        }
    }

    /// What is done: the operation's name, or METHOD TEMPLATE.
    pub(crate) fn operation(&self, arrival: &Arrival) -> Option<String> {
        if let Some(name) = self.route(arrival.taken).and_then(|route| route.operation.as_ref()) {
            return Some(name.clone());
        }
        let method = Methods::only(arrival.method);
        let template = self.template(arrival.taken)?;
        let verb = method.names().next().unwrap_or_default();
        let length = verb.len().saturating_add(1).saturating_add(template.len());
        let mut operation = String::with_capacity(length);
        operation.push_str(verb);
        operation.push(' ');
        operation.push_str(&template);
        Some(operation)
    }
}
