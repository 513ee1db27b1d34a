"""The crate's sources as V8 14.4 needs them: its headers are 14.5, and differ in three places.

Each change replaces a text that must be there exactly once, so another version of the crate stops
the set-up instead of giving a program that misreads V8's memory.
"""

import shutil

CALLBACK = ("v8-function-callback.h",
            "return Local<Value>::FromSlot(&args_[kDataIndex]);",
            "return Local<Value>::New(GetIsolate(), internal::Internals::ReadTaggedPointerField("
            "args_[kDataIndex], internal::Internals::kCallbackInfoDataOffset));")
PLATFORM = ("v8-platform.h",
            "  virtual std::unique_ptr<ScopedBoostablePriority>\n"
            "  CreateBoostablePriorityScope() {\n    return nullptr;\n  }\n",
            "")
# V8 makes what backs all array buffers of the process when the first isolate is created, and takes
# no lock: two threads that do so at once end the process. Here it is made with V8 itself.
INITIALIZE = ("void v8__V8__Initialize() { v8::V8::Initialize(); }",
              "void v8__V8__Initialize() {\n  v8::V8::Initialize();\n"
              "  delete v8::ArrayBuffer::Allocator::NewDefaultAllocator();\n}")


def replaced(name, text, old, new):
    if text.count(old) != 1:
        raise ValueError(f"{name} does not say once: {old.strip().splitlines()[0]}")
    return text.replace(old, new)


def prepare(crate, frames, work):
    """Lays the headers out in `work`/tree and writes `work`/binding.cc.

    `crate` and `frames` are the unpacked sources of the v8 crate and of its predecessor.
    """
    tree = work / "tree" / "v8"
    tree.mkdir(parents=True)
    for entry in (crate / "v8").iterdir():
        if entry.name != "include":
            (tree / entry.name).symlink_to(entry)
    include = tree / "include"
    shutil.copytree(crate / "v8" / "include", include)
    # 14.4 lays the frame of a callback out as 14.2 did, but keeps the callback's info in it, not its data.
    shutil.copyfile(frames / "v8" / "include" / CALLBACK[0], include / CALLBACK[0])
    for name, old, new in (CALLBACK, PLATFORM):
        header = include / name
        header.write_text(replaced(name, header.read_text(), old, new))
    # The two functions over ICU's own interface, which the library hides, are in shim.cc.
    text = replaced("binding.cc", (crate / "src" / "binding.cc").read_text(), *INITIALIZE)
    start = text.index("size_t icu_get_default_locale")
    end = text.index("\n}\n", text.index("void icu_set_default_locale")) + 3
    (work / "binding.cc").write_text(text[:start] + text[end:])
