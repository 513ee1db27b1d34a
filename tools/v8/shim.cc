// What binding.cc needs and the wheel's library keeps to itself.

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

namespace v8 {
struct V8 {
  static bool InitializeICU(const char* data_file);
};
}  // namespace v8

// The allocator is the C library's, here as in the library (see elf.py). Without exceptions there is
// nothing to throw when memory is out: the program ends, as V8 itself would end it.
static void* allocate(size_t size) {
  void* memory = malloc(size ? size : 1);
  if (!memory) abort();
  return memory;
}

namespace std {
struct nothrow_t;
enum class align_val_t : size_t {};

// The base of bad_weak_ptr, the one exception class that the library's parts below define.
class exception {
 public:
  virtual ~exception() noexcept;
  virtual const char* what() const noexcept;
};
exception::~exception() noexcept {}
const char* exception::what() const noexcept { return "std::exception"; }
}  // namespace std

void* operator new(size_t size) { return allocate(size); }
void* operator new[](size_t size) { return allocate(size); }
void* operator new(size_t size, const std::nothrow_t&) noexcept { return malloc(size ? size : 1); }
void* operator new[](size_t size, const std::nothrow_t&) noexcept { return malloc(size ? size : 1); }
void* operator new(size_t size, std::align_val_t alignment) {
  void* memory = aligned_alloc(static_cast<size_t>(alignment), size);
  if (!memory) abort();
  return memory;
}
void operator delete(void* memory) noexcept { free(memory); }
void operator delete[](void* memory) noexcept { free(memory); }
void operator delete(void* memory, size_t) noexcept { free(memory); }
void operator delete[](void* memory, size_t) noexcept { free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { free(memory); }

extern "C" {

// std::thread::hardware_concurrency()
unsigned cores() __asm__("_ZNSt4__Cr6thread20hardware_concurrencyEv");
unsigned cores() {
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online < 1 ? 1 : static_cast<unsigned>(online);
}

// v8::api_internal::ConvertToJSGlobalProxyIfNecessary: 14.5's property callbacks ask for it, and
// 14.4 passes them the proxy already.
size_t global_proxy(size_t) __asm__("_ZN2v812api_internal33ConvertToJSGlobalProxyIfNecessaryEm");
size_t global_proxy(size_t holder) { return holder; }

// ICU's own interface is hidden in the library. The default locale is fixed. The data is set by ICU's own function,
// whose distance from an exported one was read from the library's symbols (see elf.py).
size_t icu_get_default_locale(char* out, size_t length) {
  if (length < 5) return 0;
  memcpy(out, "en-US", 5);
  return 5;
}
void icu_set_default_locale(const char*) {}
void udata_setCommonData_77(const void* data, int* error) {
  char* exported = reinterpret_cast<char*>(&v8::V8::InitializeICU);
  reinterpret_cast<void (*)(const void*, int*)>(exported + SET_COMMON_DATA)(data, error);
  // ICU looks for no files of its own.
  const int only_packages = 1;
  if (*error <= 0) reinterpret_cast<void (*)(int, int*)>(exported + SET_FILE_ACCESS)(only_packages, error);
}

}  // extern "C"
