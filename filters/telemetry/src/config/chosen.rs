//! Which of the labels of requests another metric has too.

use filter_core::Invalid;
use serde::Deserialize;

use super::labels::Named;
use crate::end::Detail;
use crate::label::Label;

/// A label, as other metrics choose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Choice {
    StatusClass,
    StatusCodes,
    ErrorType,
    Protocol,
    Tenant,
    CallerWorkload,
    CanaryVariant,
    UpstreamRevision,
}

/// Why a choice is none.
enum Fault {
    Missing,
    Again,
}

impl Choice {
    fn named(self) -> Option<Named> {
        match self {
            Self::StatusClass | Self::StatusCodes | Self::ErrorType => None,
            Self::Protocol => Some(Named::Protocol),
            Self::Tenant => Some(Named::Tenant),
            Self::CallerWorkload => Some(Named::CallerWorkload),
            Self::CanaryVariant => Some(Named::CanaryVariant),
            Self::UpstreamRevision => Some(Named::UpstreamRevision),
        }
    }

    /// As the label is called in metrics.
    fn label(self) -> &'static str {
        match (self, self.named()) {
            (_, Some(named)) => named.label(),
            (Self::StatusClass, None) => "http_response_status_class",
            (Self::StatusCodes, None) => "http_response_status_code",
            (_, None) => "error_type",
        }
    }
}

/// The positions of labels that a metric chooses, and how much of ends. Those of a metric that is not told how requests
/// end have no `detail` to choose from.
pub(super) fn chosen(
    choices: &[Choice],
    labels: &[Label],
    detail: Option<&Detail>,
) -> Result<(Vec<usize>, Detail), Invalid> {
    let (mut positions, mut shown) = (Vec::with_capacity(choices.len()), Detail::default());
    for (place, choice) in choices.iter().enumerate() {
        let taken = match (choice, detail) {
            (Choice::StatusClass, Some(detail)) => take(&mut shown.class, detail.class),
            (Choice::StatusCodes, Some(detail)) => take(&mut shown.codes, detail.codes.clone()),
            (Choice::ErrorType, Some(detail)) => take(&mut shown.error, detail.error),
            (choice, _) => match labels.iter().position(|label| label.name == choice.label()) {
                Some(position) if !positions.contains(&position) => {
                    positions.push(position);
                    Ok(())
                }
                Some(_) => Err(Fault::Again),
                None => Err(Fault::Missing),
            },
        };
        let label = choice.label();
        taken.map_err(|fault| match (fault, detail) {
            (Fault::Again, _) => {
                Invalid::at(format!("/{place}"), "each label once", format!("`{label}` again"))
            }
            (Fault::Missing, None) if choice.named().is_none() => {
                let expected = "a label other than those of how a request ended";
                Invalid::at(format!("/{place}"), expected, format!("`{label}`"))
            }
            (Fault::Missing, _) => {
                Invalid::at(format!("/{place}"), "a label of /labels", format!("`{label}`"))
            }
        })?;
    }
    shown.expected = detail.and_then(|detail| detail.expected);
    Ok((positions, shown))
}

fn take<T>(own: &mut Option<T>, theirs: Option<T>) -> Result<(), Fault> {
    match (&own, theirs) {
        (Some(_), _) => Err(Fault::Again),
        (None, None) => Err(Fault::Missing),
        (None, theirs) => {
            *own = theirs;
            Ok(())
        }
    }
}
