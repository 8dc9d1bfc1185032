//! What a request is, told once, when it arrives: its method, and the route that it takes.

use filter_core::cells::Cells;
use filter_core::matching::path::canonical;
use filter_core::metrics::LabelValue;
use filter_core::{Count, Headers};

use crate::end::End;
use crate::guess;
use crate::learned::{Lesson, Table};
use crate::method::Method;
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
    /// The template that may be learned from it.
    guess: Option<LabelValue>,
}

impl Classifier {
    /// What the request is. A path that servers read differently takes no route.
    pub(crate) fn classify(&self, request: Headers<'_>, cells: &dyn Cells) -> Arrival {
        let method = Method::of(request.method());
        let arrival = |taken, guess| Arrival { taken, method, guess };
        let Ok(path) = canonical(request.path()) else { return arrival(Taken::None, None) };
        if let Some(rank) = self.routes.find(&path, method) {
            return arrival(Taken::Known(rank), None);
        }
        let Some(table) = &self.learned else { return arrival(Taken::None, None) };
        let (taken, guess) = guessed(table, &path, cells);
        arrival(taken, guess)
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
        if end.outcome == Ending::Ok {
            let (taken, note) = taught(table, &guess, cells);
            arrival.taken = taken;
            counts.extend(note.and_then(|note| notes.count("http_route", note)));
        }
    }

    /// The route that a request takes, if it is one of the configuration.
    pub(crate) fn route(&self, taken: Taken) -> Option<&Route> {
        match taken {
            Taken::Known(rank) => self.routes.ranked().get(rank),
            Taken::None | Taken::Learned(_) => None,
        }
    }

    /// What the request does, if it takes a route.
    pub(crate) fn deed(&self, arrival: &Arrival) -> Option<Deed> {
        let learned;
        let (template, name) = match arrival.taken {
            Taken::None => return None,
            Taken::Known(rank) => {
                let route = self.routes.ranked().get(rank)?;
                (route.template.as_str(), route.operation.as_ref())
            }
            Taken::Learned(place) => {
                learned = self.learned.as_ref()?.value(place)?;
                (learned.as_str(), None)
            }
        };
        let operation = match name {
            Some(name) => name.clone(),
            None => operation(arrival.method, template),
        };
        Some(Deed { template: template.to_owned(), operation })
    }
}

/// What a request does.
pub(crate) struct Deed {
    /// The template of its route.
    pub(crate) template: String,
    /// The operation's name, or METHOD TEMPLATE.
    pub(crate) operation: String,
}

fn operation(method: Method, template: &str) -> String {
    let verb = method.as_str();
    let length = verb.len().saturating_add(1).saturating_add(template.len());
    let mut operation = String::with_capacity(length);
    operation.push_str(verb);
    operation.push(' ');
    operation.push_str(template);
    operation
}

/// The route that a template is from now on, and what is to be noted of that.
#[inline(never)]
fn taught(table: &Table, template: &LabelValue, cells: &dyn Cells) -> (Taken, Option<Note>) {
    match table.learn(template, cells) {
        Lesson::Known(place) => (Taken::Learned(place), None),
        Lesson::New(place) => (Taken::Learned(place), Some(Note::Learned)),
        Lesson::Full => (Taken::None, Some(Note::Overflow)),
        Lesson::Lost => (Taken::None, Some(Note::Lost)),
    }
}

/// The learned route that a path takes, or the template that may be learned from it. Apart, as are most things that few
/// configurations ask for: what every request runs through should not carry their code along.
#[inline(never)]
fn guessed(table: &Table, path: &[u8], cells: &dyn Cells) -> (Taken, Option<LabelValue>) {
    let Some(template) = guess::template(path) else { return (Taken::None, None) };
    match table.find(template.as_str(), cells) {
        Some(place) => (Taken::Learned(place), None),
        None => (Taken::None, Some(template)),
    }
}
