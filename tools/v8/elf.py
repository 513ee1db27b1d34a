"""Edits the wheel's `libmini_racer.so` so that it is good to link a server with.

The library exports every symbol that V8 has, and refers to its own by name. As it comes, that costs:

* Time. The loader looks 78,000 names up at every start: 20 ms for a program that does nothing.
  `adapt` settles at set-up what the library defines itself, as `-Bsymbolic` would have at its
  making: 4 ms.
* Correctness. What V8 calls by a name that the program defines too (`temporal_rs_*` of another
  version is one) would be the program's. Settled, it is V8's own.
* Memory. The library exports its own `malloc`, for the whole process: Chromium's allocator without
  its thread caches, three times slower than the C library's on one thread and twelve times on two,
  where all wait at one lock. `adapt` takes these names away and points V8 at the C library.

Only fields of the dynamic section, relocations and symbols change, and one function of 93 bytes;
everything is checked first, so that another library is refused and not damaged.
"""

import struct

R_64, R_GLOB_DAT, R_JUMP_SLOT, R_RELATIVE = 1, 6, 7, 8
STT_NOTYPE, STT_OBJECT, STT_FUNC = 0, 1, 2
STB_GLOBAL, STB_WEAK = 1, 2
DT_PLTRELSZ, DT_RELA, DT_RELASZ, DT_JMPREL, DT_RELACOUNT = 2, 7, 8, 23, 0x6FFFFFF9

SECTION, SYMBOL, RELOCATION = struct.Struct("<IIQQQQIIQQ"), struct.Struct("<IBBHQQ"), struct.Struct("<QQq")
NAME, TYPE, ADDRESS, OFFSET, SIZE = 0, 1, 3, 4, 5

# What V8 calls, and the C library's function that takes the same arguments in the same order.
ALLOCATOR = {
    **{name: name for name in (
        "malloc", "free", "calloc", "realloc", "posix_memalign", "aligned_alloc", "malloc_usable_size")},
    **{name: "malloc" for name in ("_Znwm", "_Znam", "_ZnwmRKSt9nothrow_t", "_ZnamRKSt9nothrow_t")},
    **{name: "free" for name in (
        "_ZdlPv", "_ZdaPv", "_ZdlPvRKSt9nothrow_t", "_ZdaPvRKSt9nothrow_t", "_ZdlPvSt11align_val_t",
        "_ZdaPvSt11align_val_t", "_ZdlPvSt11align_val_tRKSt9nothrow_t", "_ZdaPvSt11align_val_tRKSt9nothrow_t")},
}
# Aligned `operator new`: (size, alignment), where aligned_alloc takes them the other way round.
ALIGNED_NEW = ("_ZnwmSt11align_val_t", "_ZnamSt11align_val_t",
               "_ZnwmSt11align_val_tRKSt9nothrow_t", "_ZnamSt11align_val_tRKSt9nothrow_t")
# The rest of the allocator's names. Nothing calls them; they must not be found here either.
HIDDEN = ("memalign", "valloc", "pvalloc", "cfree", "malloc_size", "malloc_stats", "mallinfo", "mallopt",
          "__posix_memalign", "__malloc_hook", "__realloc_hook", "__memalign_hook", "__free_hook",
          "__libc_malloc", "__libc_free", "__libc_calloc", "__libc_realloc", "__libc_memalign", "__libc_valloc",
          "__libc_pvalloc", "__libc_cfree")


class Unexpected(Exception):
    """The library is not laid out as the one that this was written for."""


def expect(holds, what):
    if not holds:
        raise Unexpected(what)


class Library:
    """An ELF shared library for x86-64 in memory, with its sections by name."""

    def __init__(self, data):
        self.data = bytearray(data)
        expect(self.data[:6] == b"\x7fELF\x02\x01" and struct.unpack_from("<HH", self.data, 16) == (3, 62),
               "not a shared library for x86-64")
        self.table, = struct.unpack_from("<Q", self.data, 0x28)
        size, count, self.names_at = struct.unpack_from("<HHH", self.data, 0x3A)
        expect(size == SECTION.size, "section headers of another size")
        self.headers = [list(SECTION.unpack_from(self.data, self.table + i * size)) for i in range(count)]
        names = self.headers[self.names_at][OFFSET]
        self.sections = {self.string(names + header[NAME]): header for header in self.headers}

    def string(self, at):
        return self.data[at:self.data.index(0, at)].decode()

    def content(self, name):
        expect(name in self.sections, f"no section {name}")
        header = self.sections[name]
        return bytes(self.data[header[OFFSET]:header[OFFSET] + header[SIZE]])

    def put(self, name, content):
        header = self.sections[name]
        self.data[header[OFFSET]:header[OFFSET] + len(content)] = content

    def at(self, address):
        """The place in the file of an address in `.text`."""
        text = self.sections[".text"]
        expect(text[ADDRESS] <= address < text[ADDRESS] + text[SIZE], "a function outside .text")
        return address - text[ADDRESS] + text[OFFSET]


def may_be_shared(name):
    """Whether a weak object may have to be one and the same with the program's.

    Inline variables of headers that both include (the standard library's, V8's API) keep their
    lookup by name; vtables, type information and what belongs to V8's inside do not need it.
    """
    return not name.startswith(("_ZTV", "_ZTI", "_ZTS", "_ZTT", "_ZN2v88internal", "_ZZN2v88internal"))


def adapt(data):
    """Returns the library's bytes with its names settled and the C library's allocator."""
    library = Library(data)
    symbols = [list(symbol) for symbol in SYMBOL.iter_unpack(library.content(".dynsym"))]
    strings = library.sections[".dynstr"][OFFSET]
    names = [library.string(strings + symbol[0]) for symbol in symbols]
    index = {name: i for i, name in enumerate(names) if symbols[i][3]}
    dyn, plt = library.sections[".rela.dyn"], library.sections[".rela.plt"]
    expect(dyn[OFFSET] + dyn[SIZE] == plt[OFFSET], "relocations in two places")
    relocations = list(RELOCATION.iter_unpack(library.content(".rela.dyn") + library.content(".rela.plt")))

    for name in (*ALLOCATOR, *ALIGNED_NEW):
        expect(name in index, f"no symbol {name}")
    alias = {index[name]: index[taken] for name, taken in ALLOCATOR.items()}
    swap_arguments(library, symbols, relocations, index)

    relative, named, slots = [], [], []
    for place, info, addend in relocations:
        kind, symbol = info & 0xFFFFFFFF, info >> 32
        if kind == R_RELATIVE:
            relative.append((place, R_RELATIVE, addend))
            continue
        if symbol in alias:
            expect(kind != R_64 or addend == 0, "an offset into the allocator")
            info = alias[symbol] << 32 | kind
        elif kind in (R_64, R_GLOB_DAT, R_JUMP_SLOT) and symbols[symbol][3]:
            kind_of, binding, value = symbols[symbol][1] & 15, symbols[symbol][1] >> 4, symbols[symbol][4]
            plain = kind_of in (STT_NOTYPE, STT_OBJECT, STT_FUNC)
            if plain and (kind_of == STT_FUNC or binding == STB_GLOBAL or not may_be_shared(names[symbol])):
                relative.append((place, R_RELATIVE, value + (addend if kind == R_64 else 0)))
                continue
        (slots if kind == R_JUMP_SLOT else named).append((place, info, addend))

    # Undefined, these names are the C library's. What nothing calls is weak: it need not exist.
    called = {info >> 32 for _, info, _ in named + slots}
    for name in (*ALLOCATOR, *ALIGNED_NEW, *HIDDEN):
        if name in index:
            symbol = symbols[index[name]]
            binding = STB_GLOBAL if index[name] in called else STB_WEAK
            symbol[1], symbol[3], symbol[4], symbol[5] = binding << 4 | STT_FUNC, 0, 0, 0

    relative.sort()
    settled = b"".join(RELOCATION.pack(*entry) for entry in relative + named)
    by_name = b"".join(RELOCATION.pack(*entry) for entry in slots)
    expect(len(settled) + len(by_name) == dyn[SIZE] + plt[SIZE], "relocations went missing")
    library.put(".dynsym", b"".join(SYMBOL.pack(*symbol) for symbol in symbols))
    library.put(".rela.dyn", settled + by_name)
    set_dynamic(library, {
        DT_RELASZ: len(settled), DT_JMPREL: dyn[ADDRESS] + len(settled), DT_PLTRELSZ: len(by_name),
        DT_RELACOUNT: len(relative)})
    dyn[SIZE], plt[OFFSET], plt[ADDRESS], plt[SIZE] = (
        len(settled), dyn[OFFSET] + len(settled), dyn[ADDRESS] + len(settled), len(by_name))
    for i, header in enumerate(library.headers):
        SECTION.pack_into(library.data, library.table + i * SECTION.size, *header)
    return bytes(library.data)


def distances(data, exported, hidden):
    """How far the functions `hidden` lie from the exported one, by the symbols that are there for debuggers."""
    library = Library(data)
    strings = library.content(".strtab")
    found = {}
    for symbol in SYMBOL.iter_unpack(library.content(".symtab")):
        if symbol[1] & 15 == STT_FUNC and symbol[3]:
            name = strings[symbol[0]:strings.index(b"\0", symbol[0])].decode()
            if name == exported or name in hidden:
                expect(found.setdefault(name, symbol[4]) == symbol[4], f"two functions {name}")
    for name in (exported, *hidden):
        expect(name in found, f"no function {name}")
    return [found[name] - found[exported] for name in hidden]


def swap_arguments(library, symbols, relocations, index):
    """Makes the library's aligned `operator new` a jump to `aligned_alloc` with its arguments swapped."""
    places = {symbols[index[name]][4] for name in ALIGNED_NEW}
    slot = [place for place, info, _ in relocations
            if info == (index["aligned_alloc"] << 32 | R_JUMP_SLOT)]
    expect(len(places) == 1 and len(slot) == 1, "the aligned allocator looks different")
    address, = places
    code = (b"\x48\x89\xf8"    # mov rax, rdi
            b"\x48\x89\xf7"    # mov rdi, rsi
            b"\x48\x89\xc6"    # mov rsi, rax
            b"\xff\x25")       # jmp [rip + …]: the slot of aligned_alloc
    code += struct.pack("<i", slot[0] - (address + len(code) + 4))
    expect(symbols[index[ALIGNED_NEW[0]]][5] >= len(code), "the aligned allocator is too short")
    at = library.at(address)
    library.data[at:at + len(code)] = code


def set_dynamic(library, values):
    section = library.sections[".dynamic"]
    seen = set()
    for at in range(section[OFFSET], section[OFFSET] + section[SIZE], 16):
        tag, = struct.unpack_from("<q", library.data, at)
        if tag in values:
            seen.add(tag)
            struct.pack_into("<Q", library.data, at + 8, values[tag])
    expect(seen == set(values), "an entry of the dynamic section is missing")


def stripped(data):
    """Returns the library without the symbols that only debuggers and profilers read."""
    library = Library(data)
    dropped = [library.sections[name] for name in (".symtab", ".strtab") if name in library.sections]
    if not dropped:
        return data
    names = library.content(".shstrtab")
    kept = [header for header in library.headers if header not in dropped and header is not library.headers[library.names_at]]
    first = library.headers.index(dropped[0])
    expect(all(header[6] < first for header in kept), "a section that refers to the symbols")
    end = max(header[OFFSET] + (0 if header[TYPE] == 8 else header[SIZE]) for header in kept)
    expect(end <= min(header[OFFSET] for header in dropped), "sections behind the symbols")
    shstrtab = list(library.headers[library.names_at])
    shstrtab[OFFSET] = end
    out = library.data[:end] + names
    out += bytes(-len(out) % 8)
    struct.pack_into("<Q", out, 0x28, len(out))
    struct.pack_into("<HH", out, 0x3C, len(kept) + 1, len(kept))
    for header in (*kept, shstrtab):
        out += SECTION.pack(*header)
    return bytes(out)
