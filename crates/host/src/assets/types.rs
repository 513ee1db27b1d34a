//! Content types by file name.

/// What is known of a kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileType {
    /// The media type, for text with its charset.
    pub(super) name: &'static str,
    /// Whether compressing it may be worth while: whether to look for precompressed forms.
    pub(super) compressible: bool,
}

/// The type of the file called `path`, by its extension.
pub(super) fn of(path: &str) -> FileType {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
    let (name, compressible) = match extension.as_str() {
        "html" | "htm" => ("text/html; charset=utf-8", true),
        "css" => ("text/css; charset=utf-8", true),
        "js" | "mjs" | "cjs" => ("text/javascript; charset=utf-8", true),
        "txt" | "text" | "log" => ("text/plain; charset=utf-8", true),
        "md" | "markdown" => ("text/markdown; charset=utf-8", true),
        "csv" => ("text/csv; charset=utf-8", true),
        "ics" => ("text/calendar; charset=utf-8", true),
        "vtt" => ("text/vtt; charset=utf-8", true),
        "json" | "map" => ("application/json", true),
        "jsonld" => ("application/ld+json", true),
        "geojson" => ("application/geo+json", true),
        "webmanifest" => ("application/manifest+json", true),
        "xml" => ("application/xml", true),
        "xhtml" => ("application/xhtml+xml", true),
        "rss" => ("application/rss+xml", true),
        "atom" => ("application/atom+xml", true),
        "wasm" => ("application/wasm", true),
        "pdf" => ("application/pdf", true),
        "rtf" => ("application/rtf", true),
        "toml" => ("application/toml", true),
        "yaml" | "yml" => ("application/yaml", true),
        "svg" => ("image/svg+xml", true),
        "bmp" => ("image/bmp", true),
        "ico" => ("image/vnd.microsoft.icon", true),
        "ttf" => ("font/ttf", true),
        "otf" => ("font/otf", true),
        "glb" => ("model/gltf-binary", true),
        "gltf" => ("model/gltf+json", true),
        "png" => ("image/png", false),
        "apng" => ("image/apng", false),
        "jpg" | "jpeg" => ("image/jpeg", false),
        "gif" => ("image/gif", false),
        "webp" => ("image/webp", false),
        "avif" => ("image/avif", false),
        "jxl" => ("image/jxl", false),
        "woff" => ("font/woff", false),
        "woff2" => ("font/woff2", false),
        "mp3" => ("audio/mpeg", false),
        "m4a" => ("audio/mp4", false),
        "aac" => ("audio/aac", false),
        "flac" => ("audio/flac", false),
        "oga" | "ogg" | "opus" => ("audio/ogg", false),
        "wav" => ("audio/wav", true),
        "weba" => ("audio/webm", false),
        "mp4" | "m4v" => ("video/mp4", false),
        "webm" => ("video/webm", false),
        "ogv" => ("video/ogg", false),
        "mov" => ("video/quicktime", false),
        "zip" => ("application/zip", false),
        "gz" | "tgz" => ("application/gzip", false),
        "zst" => ("application/zstd", false),
        "epub" => ("application/epub+zip", false),
        "7z" => ("application/x-7z-compressed", false),
        "br" | "bz2" | "xz" => ("application/octet-stream", false),
        _ => ("application/octet-stream", true),
    };
    FileType { name, compressible }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_follows_from_the_last_extension_in_any_case() {
        for (path, name) in [
            ("a/b.c/index.HTML", "text/html; charset=utf-8"),
            ("app.min.js", "text/javascript; charset=utf-8"),
            ("photo.JPG", "image/jpeg"),
            ("data.json", "application/json"),
            ("a.html/noextension", "application/octet-stream"),
            ("LICENSE", "application/octet-stream"),
            ("x.unheard-of", "application/octet-stream"),
        ] {
            assert_eq!(of(path).name, name, "{path}");
        }
        assert!(!of("a.png").compressible && of("a.svg").compressible);
    }
}
