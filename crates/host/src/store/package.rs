//! An app's folder on its way to a host.
//!
//! What is written is an uncompressed tar archive (POSIX ustar; a path that is too long for it has a pax
//! header), the same for the same content: sorted, without times, owners and modes. Files and folders whose
//! names start with a dot are left out, as `.env` and `.git` are nobody else's business; `.well-known` comes
//! along, since it is served. `node_modules` comes along as well: apps import their packages from there by
//! path.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use nexus_core::Diagnostic;
use tar::{EntryType, Header};

use super::UploadLimits;
use super::path::EntryPath;
use crate::beneath::{Beneath, OpenError, Opened, Wait};

/// What an archive is made of.
pub(super) const BLOCK: u64 = 512;

/// What is to be sent of an app's folder.
#[derive(Debug)]
pub struct Package {
    root: Beneath,
    /// By path.
    entries: Vec<Entry>,
    left_out: Vec<String>,
    files: usize,
    bytes: u64,
}

#[derive(Debug)]
struct Entry {
    path: EntryPath,
    /// A file's bytes; `None` for a folder.
    length: Option<u64>,
}

impl Package {
    /// Looks at what is in an app's folder. Waits for the disk.
    ///
    /// # Errors
    /// The first thing that cannot be sent: a symbolic link, a name that no host takes, too much. Links are
    /// not followed, for what they lead to may change, or be somebody else's.
    ///
    /// ```
    /// use nexus_host::store::{Package, UploadLimits};
    ///
    /// let folder = std::env::temp_dir().join(format!("nexus-doc-package-{}", std::process::id()));
    /// std::fs::create_dir_all(&folder).unwrap();
    /// std::fs::write(folder.join("index.js"), "export default {};").unwrap();
    /// std::fs::write(folder.join(".env"), "KEY=secret").unwrap();
    ///
    /// let package = Package::of(&folder, &UploadLimits::default()).unwrap();
    /// assert_eq!((package.files(), package.bytes()), (1, 18));
    /// assert_eq!(package.left_out(), [".env"]);
    ///
    /// let mut upload = Vec::new();
    /// package.write_to(&mut upload).unwrap();
    /// assert_eq!(upload.len() as u64, package.length());
    /// # std::fs::remove_dir_all(&folder).unwrap();
    /// ```
    pub fn of(folder: &Path, limits: &UploadLimits) -> Result<Self, Diagnostic> {
        let root = Beneath::open(folder).map_err(|error| {
            let message = format!("cannot be read: {error}");
            Diagnostic::of_file(folder.display().to_string(), message).with_help("give an app's folder")
        })?;
        let mut package = Self { root, entries: Vec::new(), left_out: Vec::new(), files: 0, bytes: 0 };
        let mut to_read = vec![PathBuf::new()];
        while let Some(inner) = to_read.pop() {
            package.look_into(folder, &inner, limits, &mut to_read)?;
        }
        package.entries.sort_by(|a, b| a.path.cmp(&b.path));
        package.left_out.sort();
        Ok(package)
    }

    fn look_into(
        &mut self,
        folder: &Path,
        inner: &Path,
        limits: &UploadLimits,
        to_read: &mut Vec<PathBuf>,
    ) -> Result<(), Diagnostic> {
        let unreadable = |path: &Path, error: io::Error| {
            let message = format!("cannot be read: {error}");
            Diagnostic::of_file(folder.join(path).display().to_string(), message)
        };
        for entry in fs::read_dir(folder.join(inner)).map_err(|error| unreadable(inner, error))? {
            let entry = entry.map_err(|error| unreadable(inner, error))?;
            let (name, path) = (entry.file_name(), inner.join(entry.file_name()));
            let metadata = entry.metadata().map_err(|error| unreadable(&path, error))?;
            let problem = |message: String, help: &str| {
                Diagnostic::of_file(folder.join(&path).display().to_string(), message).with_help(help)
            };
            let is_hidden = name.as_encoded_bytes().starts_with(b".") && name != ".well-known";
            if is_hidden || !(metadata.is_dir() || metadata.is_file() || metadata.is_symlink()) {
                let slash = if metadata.is_dir() { "/" } else { "" };
                self.left_out.push(format!("{}{slash}", path.display()));
                continue;
            }
            if metadata.is_symlink() {
                let help = "put the file itself in its place, or a dot before its name to leave it out";
                return Err(problem("is a symbolic link, and those are not deployed".into(), help));
            }
            let parsed = EntryPath::parse(path.as_os_str().as_encoded_bytes(), limits)
                .map_err(|why| problem(format!("its path {why}"), "give it another name"))?;
            let length = metadata.is_file().then_some(metadata.len());
            let over = limits
                .entry_over(self.entries.len())
                .or_else(|| length.and_then(|length| limits.file_over(length, self.bytes)));
            if let Some(over) = over {
                let help = "take out what the app does not need to run";
                return Err(problem(format!("is too much: {over}"), help));
            }
            match length {
                Some(length) => {
                    self.files += 1;
                    self.bytes += length;
                }
                None => to_read.push(path),
            }
            self.entries.push(Entry { path: parsed, length });
        }
        Ok(())
    }

    /// How many files are sent.
    pub fn files(&self) -> usize {
        self.files
    }

    /// The files' bytes, together.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The paths from the folder of what is not sent: what is hidden, and what is neither a file nor a
    /// folder.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// How many bytes [`write_to`](Self::write_to) writes.
    pub fn length(&self) -> u64 {
        let of = |entry: &Entry| {
            let contents = entry.length.unwrap_or(0);
            entry.head().len() as u64 + contents + padding(contents)
        };
        self.entries.iter().map(of).sum::<u64>() + 2 * BLOCK
    }

    /// Writes it as an archive. Waits for the disk.
    ///
    /// # Errors
    /// When it cannot be written, or a file cannot be read or is not as long any more as it was.
    pub fn write_to(&self, mut out: impl Write) -> io::Result<()> {
        for entry in &self.entries {
            out.write_all(&entry.head())?;
            let Some(length) = entry.length else { continue };
            let path = entry.path.as_str();
            let changed = || io::Error::other(format!("{path} has changed while it was read; deploy again"));
            // Not by its path alone: a folder may have become a link meanwhile.
            let file = match self.root.get(path, Wait::Allowed) {
                Ok(Opened::File(file, metadata)) if metadata.len() == length => file,
                Err(OpenError::Io(error)) => {
                    return Err(io::Error::new(error.kind(), format!("{path} cannot be read: {error}")));
                }
                _ => return Err(changed()),
            };
            if io::copy(&mut file.take(length), &mut out)? != length {
                return Err(changed());
            }
            out.write_all(&[0; BLOCK as usize][..padding(length) as usize])?;
        }
        out.write_all(&[0; 2 * BLOCK as usize])?;
        out.flush()
    }
}

impl Entry {
    /// What stands in the archive before the contents.
    fn head(&self) -> Vec<u8> {
        let path = match self.length {
            Some(_) => self.path.as_str().to_owned(),
            None => format!("{}/", self.path.as_str()),
        };
        let mut header = Header::new_ustar();
        if header.set_path(&path).is_ok() {
            return self.finished(header).to_vec();
        }
        let record = pax_record("path", &path);
        let length = record.len() as u64;
        let mut head = Header::new_ustar();
        head.set_entry_type(EntryType::XHeader);
        head.set_size(length);
        head.set_mode(0o644);
        head.set_cksum();
        let mut bytes = head.as_bytes().to_vec();
        bytes.extend(record);
        bytes.resize(bytes.len() + padding(length) as usize, 0);
        // What could not take the path may have taken a part of it.
        bytes.extend(self.finished(Header::new_ustar()));
        bytes
    }

    fn finished(&self, mut header: Header) -> [u8; BLOCK as usize] {
        let (kind, mode) = match self.length {
            Some(_) => (EntryType::Regular, 0o644),
            None => (EntryType::Directory, 0o755),
        };
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(self.length.unwrap_or(0));
        header.set_cksum();
        *header.as_bytes()
    }
}

/// How many zeros come after so many bytes.
fn padding(length: u64) -> u64 {
    length.next_multiple_of(BLOCK) - length
}

/// A record of a pax header: its length, which counts its own digits, then the key and the value.
fn pax_record(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len();
    while length != rest.len() + length.to_string().len() {
        length = rest.len() + length.to_string().len();
    }
    format!("{length}{rest}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beneath::tests::Tree;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    fn package(tree: &Tree, limits: &UploadLimits) -> Result<Package, Diagnostic> {
        Package::of(&tree.path(""), limits)
    }

    fn archive(tree: &Tree) -> Vec<u8> {
        let package = package(tree, &UploadLimits::default()).unwrap();
        let mut archive = Vec::new();
        package.write_to(&mut archive).unwrap();
        assert_eq!(archive.len() as u64, package.length());
        archive
    }

    #[test]
    fn a_folder_is_packed_the_same_whatever_its_times_modes_and_order() {
        let (one, other) = (Tree::empty(), Tree::empty());
        let files = [("b", "2"), ("a", "1"), ("d/x.js", "3"), ("node_modules/m/index.js", "4")];
        files.iter().for_each(|(path, text)| one.write(path, text));
        files.iter().rev().for_each(|(path, text)| other.write(path, text));
        let file = fs::File::options().write(true).open(other.path("a")).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(archive(&one), archive(&other));
    }

    #[test]
    fn what_is_hidden_and_what_is_no_file_is_left_out_and_told() {
        let tree = Tree::empty();
        for path in [".env", ".git/config", "a", "public/.well-known/x", "public/.DS_Store"] {
            tree.write(path, "");
        }
        let _socket = UnixListener::bind(tree.path("socket")).unwrap();
        symlink("/", tree.path(".link")).unwrap();
        let package = package(&tree, &UploadLimits::default()).unwrap();
        assert_eq!(package.left_out(), [".env", ".git/", ".link", "public/.DS_Store", "socket"]);
        let paths: Vec<_> = package.entries.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(paths, ["a", "public", "public/.well-known", "public/.well-known/x"]);
        assert_eq!((package.files(), package.bytes()), (2, 0));
    }

    #[test]
    fn what_cannot_be_sent_is_named_with_what_to_do() {
        let told = |path: &str, make: &dyn Fn(&Tree), limits: UploadLimits| {
            let tree = Tree::empty();
            make(&tree);
            let problem = package(&tree, &limits).unwrap_err();
            assert!(problem.file.ends_with(path), "{problem}");
            format!("{}; {}", problem.message, problem.help.unwrap_or_default())
        };
        let defaults = UploadLimits::default();
        for target in ["/etc/passwd", "a", "../../x", "gone"] {
            let told = told(
                "d/link",
                &|tree| (tree.write("d/a", ""), symlink(target, tree.path("d/link")).unwrap()).1,
                defaults,
            );
            assert!(
                told.starts_with("is a symbolic link, and those are not deployed; put the file"),
                "{told}"
            );
        }
        let told_name = told("a\\b", &|tree| tree.write("a\\b", ""), defaults);
        assert_eq!(told_name, "its path has a backslash; give it another name");
        let two = UploadLimits { entries: 2, ..defaults };
        let told_many = told("", &|tree| ["a", "b", "c"].iter().for_each(|path| tree.write(path, "")), two);
        assert!(told_many.starts_with("is too much: more than 2 files and folders; take out"), "{told_many}");
        let small = UploadLimits { file: 2, ..defaults };
        let told_large = told("a", &|tree| tree.write("a", "123"), small);
        assert!(told_large.starts_with("is too much: a file of more than 2 bytes"), "{told_large}");
        let deep = UploadLimits { depth: 2, ..defaults };
        assert!(told("a/b/c", &|tree| tree.write("a/b/c", ""), deep).contains("more than 2 folders deep"));
        let nothing = Package::of(Path::new("/nowhere/at/all"), &defaults).unwrap_err();
        assert_eq!(
            (nothing.file.as_str(), nothing.help.as_deref()),
            ("/nowhere/at/all", Some("give an app's folder"))
        );
    }

    #[test]
    fn a_file_that_changes_meanwhile_is_not_sent_by_half() {
        for text in ["12", "1234"] {
            let tree = Tree::empty();
            tree.write("a", "123");
            let package = package(&tree, &UploadLimits::default()).unwrap();
            tree.write("a", text);
            let error = package.write_to(io::sink()).unwrap_err();
            assert_eq!(error.to_string(), "a has changed while it was read; deploy again");
        }
        let (tree, outside) = (Tree::empty(), Tree::empty());
        tree.write("d/a", "123");
        outside.write("a", "key");
        let package = package(&tree, &UploadLimits::default()).unwrap();
        fs::rename(tree.path("d"), tree.path("moved")).unwrap();
        symlink(outside.path(""), tree.path("d")).unwrap();
        assert!(package.write_to(io::sink()).is_err());
    }

    #[test]
    fn other_programs_read_what_is_packed() {
        let (tree, out) = (Tree::empty(), Tree::empty());
        let long = format!("{}/{}", ["sub-folder"; 20].join("/"), "n".repeat(150));
        let paths = ["index.js", "lib/ä b.js", &format!("{}/x", "p".repeat(120)), &"q".repeat(100), &long];
        for path in paths {
            tree.write(path, path.repeat(20));
        }
        fs::write(out.path("a.tar"), archive(&tree)).unwrap();
        let mut command = std::process::Command::new("tar");
        let status = command.arg("-xf").arg(out.path("a.tar")).arg("-C").arg(out.path("")).status().unwrap();
        assert!(status.success());
        for path in paths {
            assert_eq!(fs::read_to_string(out.path(path)).unwrap(), path.repeat(20));
        }
    }

    #[test]
    fn a_pax_record_counts_its_own_length() {
        for length in 0..1100 {
            let record = pax_record("path", &"x".repeat(length));
            let told = record.split(|byte| *byte == b' ').next().unwrap();
            assert_eq!(str::from_utf8(told).unwrap().parse(), Ok(record.len()));
        }
    }
}
