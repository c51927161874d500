//! How a case came to be looked at and how it is: drawn by chance, reported from outside, judged without
//! its score, part of another.

use super::report::Reporter;
use serde::{Deserialize, Serialize};

/// What stands at the end of a case's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "OriginForm", into = "OriginForm")]
pub struct Origin {
    /// The case that it is part of.
    pub merged_into: Option<u64>,
    /// Chance chose it among groups below the threshold, one in so many; `None` is by its evidence.
    pub one_in: Option<u32>,
    /// Its score and the strength of its evidence are hidden until a verdict is given.
    pub blind: bool,
    /// Somebody from outside reported it, so that it was opened, or opened again.
    pub reported: Option<Reporter>,
}

/// As it is encoded. There was only the case that it is part of: the first two variants have the
/// encoding of that option, so what was written before reads as ever.
#[derive(Serialize, Deserialize)]
enum OriginForm {
    Nothing,
    Merged(u64),
    Full { merged_into: Option<u64>, one_in: Option<u32>, blind: bool },
    Reported { merged_into: Option<u64>, one_in: Option<u32>, blind: bool, reporter: Reporter },
}

impl From<OriginForm> for Origin {
    fn from(form: OriginForm) -> Self {
        match form {
            OriginForm::Nothing => Self::default(),
            OriginForm::Merged(case) => Self { merged_into: Some(case), ..Self::default() },
            OriginForm::Full { merged_into, one_in, blind } => Self { merged_into, one_in, blind, reported: None },
            OriginForm::Reported { merged_into, one_in, blind, reporter } => {
                Self { merged_into, one_in, blind, reported: Some(reporter) }
            }
        }
    }
}

impl From<Origin> for OriginForm {
    fn from(Origin { merged_into, one_in, blind, reported }: Origin) -> Self {
        if let Some(reporter) = reported {
            return Self::Reported { merged_into, one_in, blind, reporter };
        }
        if one_in.is_some() || blind {
            return Self::Full { merged_into, one_in, blind };
        }
        merged_into.map_or(Self::Nothing, Self::Merged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_before_reads_as_ever_and_what_is_new_reads_back() {
        for merged_into in [None, Some(7_u64), Some(1 << 40)] {
            let bytes = postcard::to_allocvec(&merged_into).unwrap();
            let origin: Origin = postcard::from_bytes(&bytes).unwrap();
            assert_eq!(origin, Origin { merged_into, ..Origin::default() });
            assert_eq!(postcard::to_allocvec(&origin).unwrap(), bytes, "and is written as ever");
            for (one_in, blind) in [(Some(40), false), (None, true), (Some(1), true)] {
                let origin = Origin { merged_into, one_in, blind, reported: None };
                let full = postcard::to_allocvec(&(2_u8, merged_into, one_in, blind)).unwrap();
                assert_eq!(postcard::to_allocvec(&origin).unwrap(), full, "as it was before there were reports");
                let origin = Origin { reported: Some(Reporter::Issuer), ..origin };
                assert_eq!(postcard::from_bytes::<Origin>(&full).unwrap().reported, None);
                let bytes = postcard::to_allocvec(&origin).unwrap();
                assert_eq!(postcard::from_bytes::<Origin>(&bytes).unwrap(), origin);
            }
        }
    }
}
