//! What the host's defaults and ceilings make of a manifest.

use super::HostConfig;
use crate::schema::HOST;
use crate::{Diagnostic, Diagnostics, Limit, Manifest, Scale, ScaleCeilings, Written, format_duration};

/// What a manifest asks for, and the most that it may; both as people read them, and the latter as a file has it.
struct Over<'a> {
    /// Of the manifest: `limits`, `scale`.
    table: &'a str,
    key: &'a str,
    asked: String,
    ceiling: String,
    literal: String,
    /// Of the host's configuration: which key to raise, if another one than `key` bounds it.
    by: &'a str,
}

impl HostConfig {
    /// Brings the host's defaults and ceilings to a manifest: what the manifest leaves out gets the default
    /// (or the ceiling, where that is lower), what it sets must not pass the ceiling. Where the app may connect to only
    /// narrows: of two lists of hosts neither is the greater.
    ///
    /// # Errors
    /// Each value of the manifest that passes its ceiling, told with both files. The manifest is then not
    /// to be used.
    pub fn apply(&self, manifest: &mut Manifest) -> Result<(), Diagnostics> {
        manifest.permissions.net.ceiling.clone_from(&self.net_ceiling);
        let mut problems = Diagnostics::new();
        for &limit in Limit::ALL {
            problems.extend(self.apply_limit(limit, manifest));
        }
        problems.extend(self.apply_idle(manifest));
        problems.extend(self.apply_workers(manifest));
        problems.into_result()
    }

    fn apply_limit(&self, limit: Limit, manifest: &mut Manifest) -> Option<Diagnostic> {
        let key = limit.key();
        let ceiling = self.ceilings.get(limit);
        let asked = manifest.limits.get(limit);
        if !manifest.written.contains(&format!("limits.{key}")) {
            let default = self.defaults.get(limit);
            manifest.limits.set(limit, ceiling.map_or(default, |ceiling| default.min(ceiling)));
            return None;
        }
        let ceiling = ceiling.filter(|ceiling| asked > *ceiling)?;
        let (asked, literal) = (limit.show(asked), limit.literal(ceiling));
        let ceiling = limit.show(ceiling);
        Some(self.over(&manifest.written, Over { table: "limits", key, asked, ceiling, literal, by: key }))
    }

    fn apply_idle(&self, manifest: &mut Manifest) -> Option<Diagnostic> {
        let ceiling = self.scale_ceilings.idle?;
        let Manifest { scale, written, .. } = manifest;
        if scale.idle.is_some_and(|asked| asked <= ceiling) {
            return None;
        }
        if !written.contains("scale.idle") {
            scale.idle = Some(ceiling);
            return None;
        }
        let asked = scale.idle.map_or("\"never\"".into(), format_duration);
        let (key, ceiling) = ("idle", format_duration(ceiling));
        let literal = format!("\"{ceiling}\"");
        Some(self.over(written, Over { table: "scale", key, asked, ceiling, literal, by: key }))
    }

    fn apply_workers(&self, manifest: &mut Manifest) -> Option<Diagnostic> {
        let Manifest { scale: Scale { min_workers, workers, .. }, written, .. } = manifest;
        let ScaleCeilings { min_workers: least, workers: most, .. } = self.scale_ceilings;
        let over = |key, by, asked: usize, ceiling: usize| {
            let (asked, ceiling) = (asked.to_string(), ceiling.to_string());
            self.over(written, Over { table: "scale", key, asked, literal: ceiling.clone(), ceiling, by })
        };
        if let Some(most) = most.filter(|most| *workers > *most) {
            if written.contains("scale.workers") {
                return Some(over("workers", "workers", *workers, most));
            }
            *workers = most;
        }
        let (by, ceiling) = match (least, most) {
            (Some(least), most) if most.is_none_or(|most| least <= most) => ("min_workers", least),
            (_, Some(most)) => ("workers", most),
            (_, None) => return None,
        };
        (*min_workers > ceiling).then(|| over("min_workers", by, *min_workers, ceiling))
    }

    fn over(&self, written: &Written, over: Over<'_>) -> Diagnostic {
        let Over { table, key, asked, ceiling, literal, by } = over;
        let message = format!("`{key}` is {asked}, above the host's ceiling of {ceiling}");
        written.diagnostic(&format!("{table}.{key}"), message).with_help(format!(
            "lower it to {literal}, or raise `{by}` under [ceilings.{table}] in {}",
            self.place(&format!("ceilings.{table}.{by}")),
        ))
    }

    /// File and line of what the configuration sets.
    fn place(&self, path: &str) -> String {
        let file = if self.written.file().is_empty() { HOST.file } else { self.written.file() };
        self.written.line(path).map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"))
    }
}
