//! Where a request of a guest's goes, by its URL.

use nexus_core::NetHost;
use nexus_guest::HttpError;

use super::url_parser;

/// Where a request goes.
pub(super) struct Place {
    pub(super) secure: bool,
    pub(super) host: NetHost,
    pub(super) port: u16,
    pub(super) target: String,
}

/// The origin of a serialised URL that has a place, which names nobody.
pub(super) fn origin(url: &str) -> &str {
    let rest = url.find("://").map_or(0, |at| at + 3);
    url.get(..rest + url[rest..].find('/').unwrap_or(url.len() - rest)).unwrap_or_default()
}

/// Where a URL leads. It is parsed here anew: what JavaScript made of it is in the guest's realm.
pub(super) fn place(url: &str) -> Result<Place, HttpError> {
    let invalid = |what: &str| HttpError::Invalid(what.to_owned());
    let record = url_parser::parse(url, None).ok_or_else(|| invalid("it has no valid URL"))?;
    let secure = match record.scheme.as_str() {
        "http" => false,
        "https" => true,
        _ => return Err(invalid("its URL is neither http nor https")),
    };
    let host = record.host.as_deref().unwrap_or_default();
    let host: NetHost = host.parse().map_err(|error| invalid(&format!("{error}")))?;
    let port = record.port.unwrap_or(if secure { 443 } else { 80 });
    let mut target = if record.path.is_empty() { "/".to_owned() } else { record.path };
    if let Some(query) = &record.query {
        target.push('?');
        target.push_str(query);
    }
    Ok(Place { secure, host, port, target })
}
