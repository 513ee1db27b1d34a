//! Files in the granted folders.

use crate::wasi::filesystem::preopens;
use crate::wasi::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode as FileError, OpenFlags, PathFlags};
use crate::whole;

/// The granted folder of a path `FOLDER/REST`, and the rest.
fn granted(path: &str) -> Result<(Descriptor, String), String> {
    let folders = preopens::get_directories();
    let found = folders.into_iter().find_map(|(folder, name)| {
        let rest = path.strip_prefix(&name)?.strip_prefix('/')?.to_owned();
        Some((folder, rest))
    });
    found.ok_or_else(|| "not granted".to_owned())
}

async fn open(path: &str, flags: OpenFlags, how: DescriptorFlags) -> Result<Descriptor, String> {
    let (folder, rest) = granted(path)?;
    let opened = folder.open_at(PathFlags::SYMLINK_FOLLOW, rest, flags, how).await;
    opened.map_err(why)
}

pub async fn read(path: &str) -> Result<String, String> {
    let file = open(path, OpenFlags::empty(), DescriptorFlags::READ).await?;
    let (contents, result) = file.read_via_stream(0);
    let bytes = whole(contents).await;
    result.await.map_err(why)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

pub async fn write(path: &str, text: &str) -> Result<(), String> {
    let file = open(path, OpenFlags::CREATE | OpenFlags::TRUNCATE, DescriptorFlags::WRITE).await?;
    let (mut writer, contents) = crate::wit_stream::new();
    let written = file.write_via_stream(contents, 0);
    writer.write_all(text.as_bytes().to_vec()).await;
    drop(writer);
    written.await.map_err(why)
}

/// An error's name. Those of all errors would be half of this file.
fn why(code: FileError) -> String {
    match code {
        FileError::NoEntry => "no-entry",
        FileError::NotPermitted => "not-permitted",
        FileError::Access => "access",
        FileError::ReadOnly => "read-only",
        _ => "another error",
    }
    .to_owned()
}
