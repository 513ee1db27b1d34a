//! Whether a host, or several, serve.

use std::fmt;
use std::str::FromStr;

/// Whether apps are served. As text it goes from one host to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Readiness {
    /// Every app that could be loaded is.
    Ready,
    /// So many apps are being loaded.
    Starting(usize),
    /// The end has been ordered.
    Stopping,
    /// The hosts of these numbers do not say.
    Silent(Vec<usize>),
}

impl Readiness {
    /// Both together: what keeps either of them from being ready.
    pub(super) fn and(self, other: Self) -> Self {
        use Readiness::{Ready, Silent, Starting, Stopping};
        match (self, other) {
            // Hosts that stop are silent, one after the other.
            (Stopping, _) | (_, Stopping) => Stopping,
            (Silent(mut some), Silent(more)) => {
                some.extend(more);
                Silent(some)
            }
            (Silent(silent), _) | (_, Silent(silent)) => Silent(silent),
            (Starting(some), Starting(more)) => Starting(some.saturating_add(more)),
            (Starting(some), Ready) | (Ready, Starting(some)) => Starting(some),
            (Ready, Ready) => Ready,
        }
    }

    /// Which hosts do not answer, if any do not.
    pub(super) fn silent(&self) -> Option<String> {
        let Self::Silent(hosts) = self else { return None };
        let numbers: Vec<String> = hosts.iter().map(usize::to_string).collect();
        Some(match hosts.len() {
            1 => format!("host {} does not answer", numbers.concat()),
            _ => format!("hosts {} do not answer", numbers.join(", ")),
        })
    }

    /// What whoever asks is told.
    pub(super) fn for_people(&self) -> String {
        match self {
            Self::Ready => "ready".to_owned(),
            Self::Starting(apps) => format!("starting: {apps} apps to go"),
            Self::Stopping => "stopping".to_owned(),
            Self::Silent(_) => self.silent().unwrap_or_default(),
        }
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Starting(apps) => write!(f, "starting {apps}"),
            Self::Stopping => f.write_str("stopping"),
            // Nobody says this of itself.
            Self::Silent(_) => f.write_str("silent"),
        }
    }
}

impl FromStr for Readiness {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "ready" => Ok(Self::Ready),
            "stopping" => Ok(Self::Stopping),
            other => {
                let apps = other.strip_prefix("starting ").and_then(|apps| apps.parse().ok());
                apps.map(Self::Starting).ok_or(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Readiness::{Ready, Silent, Starting, Stopping};
    use super::*;

    #[test]
    fn what_is_told_is_understood_and_nothing_else() {
        for readiness in [Ready, Starting(7), Stopping] {
            assert_eq!(readiness.to_string().parse(), Ok(readiness));
        }
        for text in ["", "ready ", "starting", "starting -1", "starting 99999999999999999999", "silent"] {
            assert_eq!(text.parse::<Readiness>(), Err(()), "{text}");
        }
    }

    #[test]
    fn all_are_ready_only_if_each_is() {
        let all = |each: &[Readiness]| each.iter().cloned().fold(Ready, Readiness::and).for_people();
        assert_eq!(all(&[Ready, Ready]), "ready");
        assert_eq!(all(&[Starting(1), Ready, Starting(2)]), "starting: 3 apps to go");
        assert_eq!(all(&[Starting(1), Silent(vec![3]), Ready]), "host 3 does not answer");
        assert_eq!(all(&[Silent(vec![2]), Ready, Silent(vec![3])]), "hosts 2, 3 do not answer");
        assert_eq!(all(&[Silent(vec![2]), Stopping, Starting(1)]), "stopping");
    }
}
