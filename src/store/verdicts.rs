//! SQLSTATE -> what to do: the table of DESIGN section 4.

use crate::model::Verdict;

/// A verdict with what the writer has to know besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Remedy {
    /// Roll back; the whole transaction again, on a new connection.
    RetryAnew,
    /// Roll back; again with half the batch; at one record it is that record's fault.
    RetrySmaller,
    /// A record's data: find it by bisection.
    Bisect,
    /// The target's types are not what the encoder was built for: read them again, once; then it is `Fail`.
    ReadTypes,
    /// Ours or the operator's.
    GiveUp,
}

impl Remedy {
    /// The verdict of a single error; what "once" and "then" mean is the writer's to count.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::RetryAnew | Self::RetrySmaller => Verdict::Retry,
            Self::Bisect => Verdict::Reject,
            Self::ReadTypes | Self::GiveUp => Verdict::Fail,
        }
    }
}

/// What an SQLSTATE asks for. `within_copy`: it ended a COPY, whose wire format is the encoder's.
///
/// 57014 is the statement time-out (or an administrator's cancel) here; one that answers a CopyFail of ours is known to
/// whoever sent it, and is a record's fault.
pub(super) fn remedy(sqlstate: &str, within_copy: bool) -> Remedy {
    match sqlstate {
        "08P01" | "22P03" | "22P04" if within_copy => Remedy::ReadTypes,
        "42P01" | "42703" => Remedy::ReadTypes,
        "22P03" | "22P04" => Remedy::GiveUp,
        "40002" | "44000" | "54000" | "54001" | "P0001" | "P0002" | "P0003" => Remedy::Bisect,
        "40001" | "40P01" | "25006" | "25P03" | "25P04" | "55P03" | "55006" => Remedy::RetryAnew,
        "57P01" | "57P02" | "57P03" | "57P05" => Remedy::RetryAnew,
        "53200" | "53400" | "57014" => Remedy::RetrySmaller,
        _ => match sqlstate.get(..2) {
            Some("22" | "23") => Remedy::Bisect,
            Some("08" | "53") => Remedy::RetryAnew,
            _ => Remedy::GiveUp,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Remedy::{Bisect, GiveUp, ReadTypes, RetryAnew, RetrySmaller};

    /// Every class of PostgreSQL's appendix A, and in each class every code that differs from it.
    const OUTSIDE_COPY: &[(&str, Remedy)] = &[
        ("00000", GiveUp),
        ("01000", GiveUp),
        ("02000", GiveUp),
        ("03000", GiveUp),
        ("08000", RetryAnew),
        ("08001", RetryAnew),
        ("08003", RetryAnew),
        ("08004", RetryAnew),
        ("08006", RetryAnew),
        ("08P01", RetryAnew),
        ("09000", GiveUp),
        ("0A000", GiveUp),
        ("0B000", GiveUp),
        ("0F000", GiveUp),
        ("0L000", GiveUp),
        ("0P000", GiveUp),
        ("0Z000", GiveUp),
        ("20000", GiveUp),
        ("21000", GiveUp),
        ("22000", Bisect),
        ("22001", Bisect),
        ("22003", Bisect),
        ("22007", Bisect),
        ("22008", Bisect),
        ("22012", Bisect),
        ("22021", Bisect),
        ("22P02", Bisect),
        ("22P03", GiveUp),
        ("22P04", GiveUp),
        ("22P05", Bisect),
        ("23000", Bisect),
        ("23001", Bisect),
        ("23502", Bisect),
        ("23503", Bisect),
        ("23505", Bisect),
        ("23514", Bisect),
        ("23P01", Bisect),
        ("24000", GiveUp),
        ("25000", GiveUp),
        ("25006", RetryAnew),
        ("25P01", GiveUp),
        ("25P02", GiveUp),
        ("25P03", RetryAnew),
        ("25P04", RetryAnew),
        ("26000", GiveUp),
        ("27000", GiveUp),
        ("28000", GiveUp),
        ("28P01", GiveUp),
        ("2B000", GiveUp),
        ("2D000", GiveUp),
        ("2F000", GiveUp),
        ("34000", GiveUp),
        ("38000", GiveUp),
        ("39000", GiveUp),
        ("3B000", GiveUp),
        ("3D000", GiveUp),
        ("3F000", GiveUp),
        ("40000", GiveUp),
        ("40001", RetryAnew),
        ("40002", Bisect),
        ("40003", GiveUp),
        ("40P01", RetryAnew),
        ("42000", GiveUp),
        ("42501", GiveUp),
        ("42601", GiveUp),
        ("42703", ReadTypes),
        ("42804", GiveUp),
        ("42P01", ReadTypes),
        ("44000", Bisect),
        ("53000", RetryAnew),
        ("53100", RetryAnew),
        ("53200", RetrySmaller),
        ("53300", RetryAnew),
        ("53400", RetrySmaller),
        ("54000", Bisect),
        ("54001", Bisect),
        ("54011", GiveUp),
        ("54023", GiveUp),
        ("55000", GiveUp),
        ("55006", RetryAnew),
        ("55P02", GiveUp),
        ("55P03", RetryAnew),
        ("55P04", GiveUp),
        ("57000", GiveUp),
        ("57014", RetrySmaller),
        ("57P01", RetryAnew),
        ("57P02", RetryAnew),
        ("57P03", RetryAnew),
        ("57P04", GiveUp),
        ("57P05", RetryAnew),
        ("58000", GiveUp),
        ("58030", GiveUp),
        ("72000", GiveUp),
        ("F0000", GiveUp),
        ("HV000", GiveUp),
        ("P0000", GiveUp),
        ("P0001", Bisect),
        ("P0002", Bisect),
        ("P0003", Bisect),
        ("P0004", GiveUp),
        ("XX000", GiveUp),
        ("XX001", GiveUp),
        ("", GiveUp),
    ];

    #[test]
    fn every_class_of_sqlstate_has_its_remedy() {
        for (sqlstate, expected) in OUTSIDE_COPY {
            assert_eq!(remedy(sqlstate, false), *expected, "{sqlstate}");
        }
    }

    #[test]
    fn within_copy_a_wrong_wire_format_asks_for_the_types() {
        for (sqlstate, outside) in OUTSIDE_COPY {
            let expected = if ["08P01", "22P03", "22P04"].contains(sqlstate) {
                ReadTypes
            } else {
                *outside
            };
            assert_eq!(remedy(sqlstate, true), expected, "{sqlstate}");
        }
    }

    #[test]
    fn remedies_sum_up_to_verdicts() {
        let table = [
            (RetryAnew, Verdict::Retry),
            (RetrySmaller, Verdict::Retry),
            (Bisect, Verdict::Reject),
            (ReadTypes, Verdict::Fail),
            (GiveUp, Verdict::Fail),
        ];
        for (remedy, verdict) in table {
            assert_eq!(remedy.verdict(), verdict);
        }
    }
}
