//! Header fields as both sides of the seam pass them: in order, duplicates kept, names in
//! lower case, all bytes in one buffer.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// An ordered list of header fields.
///
/// All names and values lie in one buffer, so a list costs two allocations however long it is.
/// Names are stored in lower case. The list checks nothing else: whoever fills it from outside
/// input has parsed it (HTTP/1.1: RFC 9110 section 5).
///
/// A list that many responses have in common can be shared ([`HeaderList::share`]): its clones cost no allocation
/// then, and a server can keep the form with it in which it sends it ([`HeaderList::kept`]).
///
/// ```
/// let mut headers = nexus_guest::HeaderList::new();
/// headers.push(b"Content-Type", b"text/plain");
/// assert_eq!(headers.get("content-type"), Some(&b"text/plain"[..]));
/// ```
#[derive(Clone)]
pub struct HeaderList(Repr);

#[derive(Clone)]
enum Repr {
    Own(Fields),
    /// Copied before it is changed.
    Shared(Arc<Shared>),
}

struct Shared {
    fields: Fields,
    kept: OnceLock<Box<dyn Any + Send + Sync>>,
}

#[derive(Clone, Default)]
struct Fields {
    bytes: Vec<u8>,
    fields: Vec<Field>,
}

/// Where a field's name starts in the buffer, and how long its name and its value are.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Field {
    start: u32,
    name: u32,
    value: u32,
}

impl HeaderList {
    /// An empty list; allocates nothing.
    pub const fn new() -> Self {
        Self(Repr::Own(Fields { bytes: Vec::new(), fields: Vec::new() }))
    }

    /// An empty list with room for `fields` fields of `bytes` bytes in all.
    pub fn with_capacity(fields: usize, bytes: usize) -> Self {
        Self(Repr::Own(Fields { bytes: Vec::with_capacity(bytes), fields: Vec::with_capacity(fields) }))
    }

    /// Makes the list one that its clones share. Whoever changes it gets a list of its own again.
    pub fn share(&mut self) {
        if let Repr::Own(fields) = &mut self.0 {
            let fields = std::mem::take(fields);
            self.0 = Repr::Shared(Arc::new(Shared { fields, kept: OnceLock::new() }));
        }
    }

    /// What is kept with a shared list and all its clones, made from it at the first call. `None` if the list is not
    /// shared, or what is kept is of another type.
    ///
    /// ```
    /// let mut headers = nexus_guest::HeaderList::from_iter([("a", "1"), ("b", "2")]);
    /// headers.share();
    /// assert_eq!(headers.kept(|list| list.len()), Some(&2));
    /// assert_eq!(headers.clone().kept(|_| 0usize), Some(&2));
    /// ```
    pub fn kept<T: Any + Send + Sync>(&self, make: impl FnOnce(&Self) -> T) -> Option<&T> {
        match &self.0 {
            Repr::Own(_) => None,
            Repr::Shared(shared) => shared.kept.get_or_init(|| Box::new(make(self))).downcast_ref(),
        }
    }

    #[inline]
    fn fields(&self) -> &Fields {
        match &self.0 {
            Repr::Own(fields) => fields,
            Repr::Shared(shared) => &shared.fields,
        }
    }

    /// The list's own fields, to be changed.
    #[inline]
    fn own(&mut self) -> &mut Fields {
        if let Repr::Shared(shared) = &self.0 {
            self.0 = Repr::Own(shared.fields.clone());
        }
        match &mut self.0 {
            Repr::Own(fields) => fields,
            Repr::Shared(_) => unreachable!("it was replaced just now"),
        }
    }

    /// Adds a field at the end. The name is put into lower case.
    ///
    /// A list holds at most 4 GiB of bytes; a field beyond that is not added. The host's head
    /// limit lies far below.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let Fields { bytes, fields } = self.own();
        let start = bytes.len();
        if start + name.len() + value.len() > u32::MAX as usize {
            return;
        }
        bytes.extend_from_slice(name);
        bytes[start..].make_ascii_lowercase();
        bytes.extend_from_slice(value);
        fields.push(Field { start: start as u32, name: name.len() as u32, value: value.len() as u32 });
    }

    /// Adds a field whose bytes `fill` appends to the buffer: first the name, then, after
    /// returning the name's length, the value. Saves the copy for those who can write in place.
    pub fn push_with(&mut self, fill: impl FnOnce(&mut Vec<u8>) -> usize) {
        let Fields { bytes, fields } = self.own();
        let start = bytes.len();
        let name = fill(bytes);
        let written = bytes.len().saturating_sub(start);
        if bytes.len() > u32::MAX as usize || name > written {
            bytes.truncate(start);
            return;
        }
        bytes[start..start + name].make_ascii_lowercase();
        fields.push(Field { start: start as u32, name: name as u32, value: (written - name) as u32 });
    }

    /// The fields in order, as (name in lower case, value).
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> + Clone {
        let Fields { bytes, fields } = self.fields();
        fields.iter().map(|field| {
            let start = field.start as usize;
            let middle = start + field.name as usize;
            (&bytes[start..middle], &bytes[middle..middle + field.value as usize])
        })
    }

    /// The value of the first field called `name` (in lower case).
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(n, _)| *n == name.as_bytes()).map(|(_, value)| value)
    }

    /// The first field called `name`, as text; `None` also when it is not UTF-8.
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The values of all fields called `name` (in lower case), in order.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.iter().filter(move |(n, _)| *n == name.as_bytes()).map(|(_, value)| value)
    }

    /// Whether a field called `name` (in lower case) is there.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Removes every field called `name` (in lower case). Its bytes stay in the buffer.
    pub fn remove(&mut self, name: &str) {
        let Fields { bytes, fields } = self.own();
        fields.retain(|f| {
            let start = f.start as usize;
            &bytes[start..start + f.name as usize] != name.as_bytes()
        });
    }

    /// The number of fields.
    pub fn len(&self) -> usize {
        self.fields().fields.len()
    }

    /// The bytes of all names and values, those of removed fields included.
    pub fn byte_length(&self) -> usize {
        self.fields().bytes.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.fields().fields.is_empty()
    }

    /// Empties the list. One that is not shared keeps its allocations.
    pub fn clear(&mut self) {
        match &mut self.0 {
            Repr::Own(Fields { bytes, fields }) => {
                bytes.clear();
                fields.clear();
            }
            Repr::Shared(_) => *self = Self::new(),
        }
    }
}

impl Default for HeaderList {
    fn default() -> Self {
        Self::new()
    }
}

/// By their fields, in order.
impl PartialEq for HeaderList {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for HeaderList {}

impl fmt::Debug for HeaderList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(n, v)| {
                (String::from_utf8_lossy(n).into_owned(), String::from_utf8_lossy(v).into_owned())
            }))
            .finish()
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for HeaderList {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(fields: I) -> Self {
        let mut list = Self::new();
        for (name, value) in fields {
            list.push(name.as_bytes(), value.as_bytes());
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order_and_their_duplicates() {
        let mut list = HeaderList::new();
        list.push(b"Set-Cookie", b"a=1");
        list.push(b"X", b"");
        list.push(b"set-cookie", b"b=2");
        assert_eq!(list.get_all("set-cookie").collect::<Vec<_>>(), [b"a=1", b"b=2"]);
        assert_eq!(list.get("x"), Some(&b""[..]));
        list.remove("set-cookie");
        assert_eq!(list.len(), 1);
    }

    #[test]
    fn a_shared_list_is_changed_for_its_owner_alone() {
        let mut list = HeaderList::from_iter([("a", "1")]);
        assert_eq!(list.kept(HeaderList::len), None, "it is not shared");
        list.share();
        let (mut longer, mut shorter, mut empty) = (list.clone(), list.clone(), list.clone());
        assert_eq!(list.kept(HeaderList::len), Some(&1));
        longer.push(b"B", b"2");
        shorter.remove("a");
        empty.clear();
        assert_eq!((list.len(), longer.len(), shorter.len(), empty.len()), (1, 2, 0, 0));
        assert_eq!(longer.get("b"), Some(&b"2"[..]));
        assert_eq!(longer.kept(HeaderList::len), None, "it is not shared any more");
        assert_eq!(list.clone().kept(|_| "another type"), None);
        assert!(list == HeaderList::from_iter([("a", "1")]) && list != longer);
    }

    #[test]
    fn a_field_written_in_place_reads_like_one_pushed() {
        let mut list = HeaderList::new();
        list.push_with(|buffer| {
            buffer.extend_from_slice(b"Accept");
            let name = 6;
            buffer.extend_from_slice(b"*/*");
            name
        });
        assert_eq!(list.get_str("accept"), Some("*/*"));
    }
}
