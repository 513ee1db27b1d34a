use super::*;
use crate::beneath::tests::Tree;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// An archive as somebody writes it who means no good: nothing is checked.
struct Tar(Vec<u8>);

impl Tar {
    fn new() -> Self {
        Self(Vec::new())
    }

    /// One with a file that is fine.
    fn fine() -> Self {
        Self::new().file("index.js", "fine")
    }

    fn file(self, path: &str, text: &str) -> Self {
        self.entry(EntryType::Regular, path.as_bytes(), text.as_bytes())
    }

    fn folder(self, path: &str) -> Self {
        self.entry(EntryType::Directory, path.as_bytes(), b"")
    }

    fn entry(self, kind: EntryType, path: &[u8], contents: &[u8]) -> Self {
        self.header(kind, path, contents.len() as u64, |_| {}).contents(contents)
    }

    fn header(mut self, kind: EntryType, path: &[u8], length: u64, more: impl FnOnce(&mut Header)) -> Self {
        let mut header = Header::new_ustar();
        header.as_ustar_mut().unwrap().name[..path.len()].copy_from_slice(path);
        header.set_entry_type(kind);
        header.set_size(length);
        more(&mut header);
        header.set_cksum();
        self.0.extend(header.as_bytes());
        self
    }

    fn contents(mut self, contents: &[u8]) -> Self {
        self.0.extend(contents);
        self.0.resize(self.0.len().next_multiple_of(BLOCK as usize), 0);
        self
    }

    fn pax(self, records: &[(&str, &str)]) -> Self {
        let records: String = records
            .iter()
            .map(|(key, value)| {
                let rest = format!(" {key}={value}\n");
                let digits = if rest.len() > 96 { 3 } else { 2 };
                format!("{:0digits$}{rest}", rest.len() + digits)
            })
            .collect();
        self.entry(EntryType::XHeader, b"pax", records.as_bytes())
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 2 * BLOCK as usize]);
        self.0
    }
}

/// Unpacks into a folder beside others, which must stay as they are.
fn unpack_with(upload: impl Read, limits: &UploadLimits) -> Result<Listing, StoreError> {
    let tree = Tree::empty();
    tree.write("outside/a", "secret");
    fs::create_dir(tree.path("in")).unwrap();
    let unpacked = unpack(upload, &tree.path("in"), limits);
    let names = |path: &str| {
        let entries = fs::read_dir(tree.path(path)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(""), ["in", "outside"]);
    assert_eq!(names("outside"), ["a"]);
    assert_eq!(fs::read(tree.path("outside/a")).unwrap(), b"secret");
    let read = Listing::read(&tree.path("in")).expect("there are files and folders only");
    if let Ok(listing) = &unpacked {
        assert_eq!(read.digest(), listing.digest(), "what is told is what is there");
    }
    unpacked
}

fn refusal(upload: &[u8]) -> String {
    match unpack_with(upload, &UploadLimits::default()) {
        Err(StoreError::Upload(line)) => line,
        other => panic!("{other:?}"),
    }
}

fn over(upload: impl Read, limits: UploadLimits) -> String {
    match unpack_with(upload, &limits) {
        Err(StoreError::TooMuch(line)) => line,
        other => panic!("{other:?}"),
    }
}

#[test]
fn files_and_folders_are_unpacked_and_can_only_be_read() {
    let long = format!("lib/{}", "long/".repeat(25));
    let tar = Tar::fine()
        .folder("empty/")
        .folder("lib")
        .file("lib/a.js", "1")
        .pax(&[("mtime", "1700000000.5"), ("path", &format!("{long}b"))])
        .header(EntryType::new(0), b"short", 1, |header| header.set_mode(0o6777))
        .contents(b"2");
    let tree = Tree::empty();
    let upload = tar.end();
    let listing = unpack(&upload[..], &tree.path(""), &UploadLimits::default()).unwrap();
    assert_eq!(listing.files().collect::<Vec<_>>(), ["index.js", "lib/a.js", &format!("{long}b")]);
    assert!(listing.has_folder("empty") && listing.has_folder("lib/long/long"));
    assert_eq!(fs::read(tree.path(&format!("{long}b"))).unwrap(), b"2");
    for file in listing.files() {
        let mode = fs::metadata(tree.path(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777 & !0o444, 0, "{file}: {mode:o}");
    }
    assert!(unpack_with(&upload[..], &UploadLimits::default()).is_ok());
}

#[test]
fn no_path_leads_out_of_the_folder_in_whatever_field_it_is() {
    for path in [
        "../outside/a",
        "..",
        "a/../../outside/a",
        "/etc/passwd",
        "//outside/a",
        "./a",
        "a/./b",
        ".",
        "a//b",
        "a/..",
        "..\\outside\\a",
        "C:\\a",
        "a\u{1}b",
        "a\nb",
        "/",
        "",
    ] {
        for kind in [EntryType::Regular, EntryType::Directory] {
            let slash = if kind == EntryType::Directory { "/" } else { "" };
            let named = Tar::fine().entry(kind, path.as_bytes(), b"");
            let named_as_folder = Tar::fine().entry(kind, format!("{path}{slash}").as_bytes(), b"");
            let in_prefix = Tar::fine().header(kind, path.as_bytes(), 0, |header| {
                header.as_ustar_mut().unwrap().prefix[..2].copy_from_slice(b"..");
            });
            for (place, tar) in [named, named_as_folder, in_prefix].into_iter().enumerate() {
                let line = refusal(&tar.end());
                assert!(line.contains("is no path in an app's folder: it "), "{place} {path:?}: {line}");
            }
            // A record ends at a line break: such a one makes no sense.
            if !path.contains('\n') {
                let by_pax = Tar::fine().pax(&[("path", path)]).entry(kind, b"fine", b"");
                assert!(refusal(&by_pax.end()).contains("is no path in an app's folder"), "{path:?}");
            }
        }
    }
    let no_text = Tar::fine().entry(EntryType::Regular, b"a\xff", b"").end();
    assert!(refusal(&no_text).ends_with("it is not UTF-8"));
    let hidden_by_nul = Tar::fine().pax(&[("path", "a\0/../b")]).file("fine", "").end();
    assert!(refusal(&hidden_by_nul).contains("has a"));
}

#[test]
fn only_regular_files_and_folders_are_taken() {
    for kind in 0..=u8::MAX {
        if matches!(kind, 0 | b'0' | b'5' | b'x') {
            continue;
        }
        let link = |header: &mut Header| {
            header.as_ustar_mut().unwrap().linkname[..10].copy_from_slice(b"../outside");
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
        };
        for length in [0, 512] {
            let tar = Tar::fine()
                .header(EntryType::new(kind), b"a", length, link)
                .contents(&vec![b'x'; length as usize])
                .file("a/a", "through the link");
            let line = refusal(&tar.end());
            let what = match kind {
                b'1' => "`a` is a hard link; only files and folders are taken",
                b'2' => "`a` is a symbolic link; only files and folders are taken",
                _ => "`a` is neither a file nor a folder",
            };
            assert_eq!(line, what, "{}", kind as char);
        }
    }
    let full = Tar::fine().entry(EntryType::Directory, b"a", b"hidden").end();
    assert_eq!(refusal(&full), "`a` is a folder with contents");
}

#[test]
fn each_path_comes_once_and_as_one_thing() {
    for (tar, line) in [
        (Tar::fine().file("index.js", "other"), "`index.js` is there twice"),
        (Tar::fine().folder("index.js"), "`index.js` is there both as a file and as a folder"),
        (Tar::fine().file("index.js/a", ""), "`index.js` is there both as a file and as a folder"),
        (Tar::fine().file("d/a", "").file("d", ""), "`d` is there both as a file and as a folder"),
        (Tar::fine().folder("d").folder("d/"), "`d` is there twice"),
        (Tar::fine().pax(&[("path", "index.js")]).file("b", ""), "`index.js` is there twice"),
    ] {
        assert_eq!(refusal(&tar.end()), line);
    }
    assert!(unpack_with(&Tar::new().file("d/a", "").folder("d").end()[..], &UploadLimits::default()).is_ok());
}

#[test]
fn pax_headers_say_a_path_and_nothing_that_matters_beside() {
    let not_allowed = |key: &str| format!("the upload has a pax header with `{key}`, which is not allowed");
    for key in
        ["size", "linkpath", "GNU.sparse.major", "SCHILY.xattr.user.a", "hdrcharset", "charset", "PATH"]
    {
        assert_eq!(refusal(&Tar::fine().pax(&[(key, "1")]).file("a", "").end()), not_allowed(key));
    }
    for (tar, line) in [
        (
            Tar::fine().pax(&[("path", "a"), ("path", "b")]).file("c", ""),
            "the upload has a pax header with two paths",
        ),
        (
            Tar::fine().pax(&[("path", "a")]).pax(&[]).file("c", ""),
            "the upload has a pax header for a pax header",
        ),
        (Tar::fine().pax(&[("path", "a")]), "the upload has a pax header for nothing"),
        (
            Tar::fine().entry(EntryType::XHeader, b"pax", b"99 path=a\n").file("c", ""),
            "the upload has a malformed pax extension",
        ),
        (
            Tar::fine().header(EntryType::XHeader, b"pax", 1 << 40, |_| {}),
            "the upload has a pax header of more than 4096 bytes",
        ),
        (
            Tar::fine().entry(EntryType::XGlobalHeader, b"a", b"10 path=a\n"),
            "`a` is neither a file nor a folder",
        ),
        (Tar::fine().entry(EntryType::GNULongName, b"a", b"../b\0"), "`a` is neither a file nor a folder"),
    ] {
        assert_eq!(refusal(&tar.end()), line);
    }
}

#[test]
fn archives_of_other_kinds_are_refused() {
    let mut old = Header::new_old();
    let mut gnu = Header::new_gnu();
    for header in [&mut old, &mut gnu] {
        header.set_path("a").unwrap();
        header.set_size(0);
        header.set_cksum();
        let upload = [&header.as_bytes()[..], &[0; 1024]].concat();
        assert_eq!(refusal(&upload), "the upload is no POSIX tar archive (ustar or pax)");
    }
    assert!(refusal(&[b"PK\x03\x04".repeat(1000)].concat()).starts_with("the upload is no tar archive"));
    assert_eq!(refusal(&[0; 1024]), "the upload holds no file; send an app's folder");
    assert_eq!(refusal(&Tar::new().folder("a").end()), "the upload holds no file; send an app's folder");
}

#[test]
fn what_passes_a_limit_is_refused_before_it_is_read() {
    let defaults = UploadLimits::default();
    let [a, b, c] = ["a", "b", "c"];
    let two = UploadLimits { entries: 2, ..defaults };
    for tar in [
        Tar::new().file(a, "").file(b, "").file(c, ""),
        Tar::new().folder(a).folder(b).folder(c),
        Tar::new().file("a/b/c", ""),
        Tar::new().file(a, "").file("b/c", ""),
    ] {
        assert!(
            over(&tar.end()[..], two)
                .starts_with("the upload is too large: more than 2 files and folders, at `")
        );
    }
    // A head that says more than there is to be read: nobody waits for the rest, nor is any of it written.
    let huge = |length| Tar::fine().header(EntryType::Regular, b"a", length, |_| {}).0;
    let line = "the upload is too large: a file of more than 64 MB, at `a`";
    assert_eq!(over(huge((64 << 20) + 1).chain(Never), defaults), line);
    assert_eq!(over(huge(1 << 62).chain(Never), defaults), line);
    let total = UploadLimits { total: 100, ..defaults };
    let line = "the upload is too large: more than 100 bytes in all, at `a`";
    assert_eq!(over(huge(97).chain(Never), total), line);
    assert!(unpack_with(&Tar::fine().file(a, &"x".repeat(96)).end()[..], &total).is_ok());
    let deep = Tar::new().file(&"d/".repeat(32), "").end();
    assert!(refusal(&deep).contains("has an empty name"));
    let deep = Tar::new().file(&format!("{}a", "d/".repeat(32)), "").end();
    assert!(over(&deep[..], defaults).ends_with("is more than 32 folders deep"));
    let long = Tar::new().pax(&[("path", &"d/".repeat(300))]).file(a, "").end();
    assert!(over(&long[..], defaults).ends_with("is longer than 512 bytes"));
}

/// Whoever reads from here has gone too far.
struct Never;

impl Read for Never {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        panic!("it is read on");
    }
}

trait Chain: Into<Vec<u8>> {
    fn chain(self, rest: impl Read) -> impl Read {
        io::Cursor::new(self.into()).chain(rest)
    }
}

impl Chain for Vec<u8> {}

#[test]
fn a_head_that_lies_about_the_length_is_found_out() {
    for (told, is) in [(0, 600), (1, 600), (511, 1024), (1500, 600), (1 << 20, 600)] {
        let tar = Tar::fine().header(EntryType::Regular, b"a", told, |_| {}).contents(&vec![b'x'; is]);
        let line = refusal(&tar.file("b", "more").end());
        assert!(
            line.starts_with("the upload is no tar archive") || line.contains("broke off"),
            "{told}: {line}"
        );
    }
    let mut changed = Tar::fine().end();
    changed[0] ^= 1;
    assert!(refusal(&changed).contains("checksum"));
    let no_number = Tar::fine().header(EntryType::Regular, b"a", 0, |header| {
        header.as_ustar_mut().unwrap().size = *b"99999999999\0";
    });
    assert!(refusal(&no_number.end()).starts_with("the upload is no tar archive"));
}

#[test]
fn an_upload_that_is_cut_anywhere_is_not_taken() {
    let archive = Tar::fine()
        .file("a", &"x".repeat(1500))
        .folder("d")
        .pax(&[("path", "long")])
        .file("b", &"y".repeat(512))
        .end();
    assert!(unpack_with(&archive[..], &UploadLimits::default()).is_ok());
    for length in (0..archive.len()).filter(|length| length % 512 == 0 || length % 97 == 0) {
        let line = refusal(&archive[..length]);
        assert!(line.contains("broke off") || line.contains("pax header for nothing"), "{length}: {line}");
    }
    assert!(refusal(&archive[..archive.len() - 1]).contains("broke off"));
}

#[test]
fn a_connection_that_breaks_is_told_as_that() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let archive = Tar::fine().file("a", &"x".repeat(1500)).end();
    for length in [0, 100, 512, 516, 1024, 1800, archive.len() - 1024, archive.len() - 512, archive.len()] {
        match unpack_with(archive[..length].to_vec().chain(Broken), &UploadLimits::default()) {
            Err(StoreError::Upload(line)) => assert!(line.contains("broke off: connection reset"), "{line}"),
            other => panic!("{length}: {other:?}"),
        }
    }
}

#[test]
fn after_the_end_there_are_only_zeros_and_not_many() {
    let archive = Tar::fine().end();
    for zeros in [0, 1, 512, 9216, 60_000] {
        let padded = [&archive[..], &vec![0; zeros]].concat();
        assert!(unpack_with(&padded[..], &UploadLimits::default()).is_ok(), "{zeros}");
    }
    let line = "the upload goes on after the end of the archive";
    assert_eq!(refusal(&[&archive[..], b"x"].concat()), line);
    assert_eq!(refusal(&[&archive[..], &Tar::new().file("b", "").end()].concat()), line);
    // Between the two blocks of zeros, too.
    assert_eq!(refusal(&[&archive[..archive.len() - 512], &Tar::new().file("b", "").end()].concat()), line);
    let endless = archive.chain(io::repeat(0));
    assert_eq!(unpack_with(endless, &UploadLimits::default()), Err(StoreError::Upload(line.into())));
}

#[test]
fn an_upload_that_never_ends_is_ended() {
    /// Says the same again and again.
    struct Endless(Vec<u8>, usize);
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let from = &self.0[self.1 % self.0.len()..];
            let length = buffer.len().min(from.len());
            buffer[..length].copy_from_slice(&from[..length]);
            self.1 += length;
            Ok(length)
        }
    }
    for tar in [Tar::new().folder("a"), Tar::fine(), Tar::new().pax(&[("path", "a")]), Tar::new().pax(&[])] {
        assert!(unpack_with(Endless(tar.0, 0), &UploadLimits::default()).is_err());
    }
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// An entry of any kind under a path of any kind, its checksum right.
fn any_entry() -> impl Strategy<Value = Vec<u8>> {
    let path = prop_oneof![4 => "[abc]{1,2}(/[abc]){0,2}/?", 1 => "[a./\\\\\0]{0,8}"];
    let kind = prop_oneof![6 => Just(b'0'), 2 => Just(b'5'), 2 => Just(b'x'), 1 => any::<u8>()];
    let records =
        proptest::collection::vec((prop_oneof![4 => Just("path"), 1 => Just("size")], "[ab./]{0,6}"), 0..2);
    (path, kind, proptest::collection::vec(any::<u8>(), 0..700), records).prop_map(
        |(path, kind, contents, records)| {
            let records: Vec<_> = records.iter().map(|(key, value)| (*key, value.as_str())).collect();
            match kind {
                b'x' => Tar::new().pax(&records).0,
                b'5' => Tar::new().folder(&path).0,
                kind => Tar::new().entry(EntryType::new(kind), path.as_bytes(), &contents).0,
            }
        },
    )
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn nothing_that_is_sent_gets_out_of_the_folder(
        entries in proptest::collection::vec(any_entry(), 0..6),
        changes in proptest::collection::vec((any::<u16>(), any::<u8>()), 0..3),
        garbage in proptest::collection::vec(any::<u8>(), 0..1200),
        whole in any::<bool>(),
    ) {
        let mut upload = Tar(entries.concat()).end();
        if !whole {
            for (place, byte) in changes {
                let place = usize::from(place) % upload.len();
                upload[place] = byte;
            }
            upload.extend(&garbage);
        }
        let _ = unpack_with(&upload[..], &UploadLimits::default());
        let _ = unpack_with(&garbage[..], &UploadLimits::default());
    }
}
