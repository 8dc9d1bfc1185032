//! What a request asks for: its method, host and path, in the form that policies are read in.

use std::borrow::Cow;

use filter_core::Headers;
use filter_core::matching::host::Host;
use filter_core::matching::{Ambiguous, HostPattern, Index, PathPattern, Truth, path};

use super::Reading;

/// The method, host and path of a request. Made once for all rules.
pub(crate) struct Line<'a> {
    /// The method, as sent.
    pub(crate) method: &'a [u8],
    host: Authority<'a>,
    path: Result<Cow<'a, [u8]>, Ambiguous>,
    /// The path as sent, its query and fragment with it.
    raw: &'a [u8],
    reading: Reading,
}

/// The host, in one of two forms.
enum Authority<'a> {
    /// Canonical; `None` for what is no host.
    Canonical(Option<Host<'a>>),
    /// As sent, in lower case.
    AsSent(Vec<u8>),
}

impl<'a> Line<'a> {
    /// What the request with these headers asks for.
    pub(crate) fn of(headers: Headers<'a>, reading: Reading) -> Self {
        let raw = headers.path();
        let (host, path) = match reading {
            Reading::Strict => {
                let host = Host::canonical(headers.authority());
                (Authority::Canonical(host), path::canonical(raw))
            }
            Reading::Istio => as_sent(headers.authority(), raw),
        };
        Self { method: headers.method(), host, path, raw, reading }
    }

    /// The path, without its query.
    ///
    /// # Errors
    /// When it has no single meaning.
    pub(crate) fn path(&self) -> Result<&[u8], Ambiguous> {
        self.path.as_deref().map_err(|ambiguous| *ambiguous)
    }

    /// The query, as sent.
    pub(crate) fn query(&self) -> Option<&'a [u8]> {
        let uri = self.raw.split(|byte| *byte == b'#').next().unwrap_or_default();
        let mark = uri.iter().position(|byte| *byte == b'?');
        mark.and_then(|mark| uri.get(mark.saturating_add(1)..))
    }

    /// The host's name, without port; `None` if there is none that all servers would read alike.
    pub(crate) fn host(&self) -> Option<Cow<'_, [u8]>> {
        match &self.host {
            Authority::Canonical(host) => host.as_ref().map(|host| Cow::Borrowed(host.name())),
            Authority::AsSent(text) => {
                Host::canonical(text).map(|host| Cow::Owned(host.name().to_vec()))
            }
        }
    }

    /// The exact names by which patterns may know the host; `None` if any pattern may be about it.
    fn host_names(&self) -> Option<impl Iterator<Item = Cow<'_, [u8]>>> {
        let (name, with_port) = match &self.host {
            Authority::Canonical(host) => {
                let host = host.as_ref()?;
                (host.name(), host.port().map(|_| host))
            }
            Authority::AsSent(text) => (text.as_slice(), None),
        };
        let full = with_port.into_iter().map(Host::with_port);
        Some(std::iter::once(Cow::Borrowed(name)).chain(full))
    }

    /// The places of the rules that may be about this; `None` if all may.
    pub(crate) fn candidates(&self, index: &Index) -> Option<Vec<usize>> {
        index.candidates(self.path().ok()?, self.method, self.host_names()?)
    }

    /// Whether the host is one that the pattern means.
    pub(crate) fn host_is(&self, pattern: &HostPattern) -> Truth {
        match &self.host {
            Authority::Canonical(host) => pattern.matches(host.as_ref()),
            Authority::AsSent(text) => pattern.pattern().matches(text).into(),
        }
    }

    /// Whether the path is one that the pattern means.
    pub(crate) fn path_is(&self, pattern: &PathPattern) -> Truth {
        match self.reading {
            Reading::Strict => pattern.matches(self.path()),
            Reading::Istio => {
                self.path().is_ok_and(|path| pattern.matches_as_in_envoy(path)).into()
            }
        }
    }
}

/// The host and the path as Envoy reads them.
#[inline(never)]
fn as_sent<'a>(host: &[u8], raw: &'a [u8]) -> (Authority<'a>, Result<Cow<'a, [u8]>, Ambiguous>) {
    let end = raw.iter().position(|byte| matches!(byte, b'?' | b'#'));
    let path = raw.get(..end.unwrap_or(raw.len())).unwrap_or_default();
    (Authority::AsSent(host.to_ascii_lowercase()), Ok(Cow::Borrowed(path)))
}
