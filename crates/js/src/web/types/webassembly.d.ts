
// ---- WebAssembly

/**
 * Code in WebAssembly.
 * @standard https://webassembly.github.io/spec/js-api/#webassembly-namespace
 * @differs Modules are compiled within the turn that asks, also by `compile()`: what V8's threads do would be on nobody's account. There is no memory that threads share, because apps have one thread each. An app has at most 250,000 functions and 100,000 types, because V8's tables for them are the process's: beyond that a module is a `CompileError`.
 */
declare namespace WebAssembly {
  /**
   * Whether bytes are a module.
   * @standard https://webassembly.github.io/spec/js-api/#dom-webassembly-validate
   */
  function validate(bytes: BufferSource, options?: WebAssemblyCompileOptions): boolean;
  /**
   * Makes a module of bytes.
   * @standard https://webassembly.github.io/spec/js-api/#dom-webassembly-compile
   */
  function compile(bytes: BufferSource, options?: WebAssemblyCompileOptions): Promise<Module>;
  /**
   * Makes an instance of bytes, or of a module.
   * @standard https://webassembly.github.io/spec/js-api/#dom-webassembly-instantiate
   * @differs The start function of a module that is given runs within the call: V8 reads the imports and starts in one go.
   */
  function instantiate(bytes: BufferSource, importObject?: Imports, options?: WebAssemblyCompileOptions): Promise<WebAssemblyInstantiatedSource>;
  function instantiate(moduleObject: Module, importObject?: Imports): Promise<Instance>;
  /**
   * Makes a module of a response.
   * @standard https://webassembly.github.io/spec/web-api/#dom-webassembly-compilestreaming
   * @differs The code is compiled when all of it is there.
   */
  function compileStreaming(source: Response | PromiseLike<Response>, options?: WebAssemblyCompileOptions): Promise<Module>;
  /**
   * Makes an instance of a response.
   * @standard https://webassembly.github.io/spec/web-api/#dom-webassembly-instantiatestreaming
   * @differs As `compileStreaming()`.
   */
  function instantiateStreaming(source: Response | PromiseLike<Response>, importObject?: Imports, options?: WebAssemblyCompileOptions): Promise<WebAssemblyInstantiatedSource>;
  /**
   * The tag of exceptions that JavaScript throws.
   * @standard https://webassembly.github.io/spec/js-api/#dom-webassembly-jstag
   */
  const JSTag: Tag;
  /**
   * Makes a function that returns a promise, and waits where an import is `Suspending`.
   * @standard https://webassembly.github.io/js-promise-integration/js-api/
   * @differs An app has at most 1,000 calls that wait, because each has a stack of its own, for good if nothing lets it go on: one more is a promise rejected with a `RangeError`, and each is a thousandth of the limit `memory`.
   */
  function promising(f: (...args: any[]) => any): (...args: any[]) => Promise<any>;

  type ImportValue = Function | Global | Memory | Table | Tag | Suspending | number | bigint | string | object | null;
  type Imports = Record<string, Record<string, ImportValue>>;
  type Exports = Record<string, any>;
  type ImportExportKind = "function" | "table" | "memory" | "global" | "tag";
  type ValueType = "i32" | "i64" | "f32" | "f64" | "v128" | "externref" | "anyfunc";
  type AddressType = "i32" | "i64";
  interface WebAssemblyCompileOptions {
    builtins?: Iterable<string>;
    importedStringConstants?: string | null;
  }
  interface WebAssemblyInstantiatedSource {
    instance: Instance;
    module: Module;
  }
  interface ModuleExportDescriptor {
    name: string;
    kind: ImportExportKind;
  }
  interface ModuleImportDescriptor {
    module: string;
    name: string;
    kind: ImportExportKind;
  }
  /**
   * Compiled code.
   * @standard https://webassembly.github.io/spec/js-api/#modules
   */
  interface Module {}
  var Module: {
    readonly prototype: Module;
    new (bytes: BufferSource, options?: WebAssemblyCompileOptions): Module;
    exports(moduleObject: Module): ModuleExportDescriptor[];
    imports(moduleObject: Module): ModuleImportDescriptor[];
    customSections(moduleObject: Module, sectionName: string): ArrayBuffer[];
  };
  /**
   * A module that runs.
   * @standard https://webassembly.github.io/spec/js-api/#instances
   */
  interface Instance {
    readonly exports: Exports;
  }
  var Instance: {
    readonly prototype: Instance;
    new (module: Module, importObject?: Imports): Instance;
  };
  interface MemoryDescriptor {
    initial: number | bigint;
    maximum?: number | bigint;
    address?: AddressType;
  }
  /**
   * An instance's memory.
   * @standard https://webassembly.github.io/spec/js-api/#memories
   * @differs `shared` memory is a `TypeError`.
   */
  interface Memory {
    grow(delta: number): number;
    toFixedLengthBuffer(): ArrayBuffer;
    toResizableBuffer(): ArrayBuffer;
    readonly buffer: ArrayBuffer;
  }
  var Memory: {
    readonly prototype: Memory;
    new (descriptor: MemoryDescriptor): Memory;
  };
  interface TableDescriptor {
    element: "externref" | "anyfunc";
    initial: number | bigint;
    maximum?: number | bigint;
    address?: AddressType;
  }
  /**
   * A table of references.
   * @standard https://webassembly.github.io/spec/js-api/#tables
   */
  interface Table {
    grow(delta: number, value?: any): number;
    get(index: number): any;
    set(index: number, value?: any): void;
    readonly length: number;
  }
  var Table: {
    readonly prototype: Table;
    new (descriptor: TableDescriptor, value?: any): Table;
  };
  interface GlobalDescriptor {
    value: ValueType;
    mutable?: boolean;
  }
  /**
   * A variable that instances have in common.
   * @standard https://webassembly.github.io/spec/js-api/#globals
   */
  interface Global {
    valueOf(): any;
    value: any;
  }
  var Global: {
    readonly prototype: Global;
    new (descriptor: GlobalDescriptor, v?: any): Global;
  };
  /**
   * A kind of exception.
   * @standard https://webassembly.github.io/spec/js-api/#tags
   * @differs At most 1,000 parameters, and so many kinds an app: V8 keeps each of them for good.
   */
  interface Tag {}
  var Tag: {
    readonly prototype: Tag;
    new (type: { parameters: Iterable<ValueType> }): Tag;
  };
  /**
   * An exception of WebAssembly.
   * @standard https://webassembly.github.io/spec/js-api/#exceptions
   */
  interface Exception {
    getArg(exceptionTag: Tag, index: number): any;
    is(exceptionTag: Tag): boolean;
    readonly stack: string | undefined;
  }
  var Exception: {
    readonly prototype: Exception;
    new (exceptionTag: Tag, payload: Iterable<any>, options?: { traceStack?: boolean }): Exception;
  };
  /**
   * Code is not valid.
   * @standard https://webassembly.github.io/spec/js-api/#error-objects
   */
  var CompileError: ErrorConstructor;
  /**
   * A module and its imports do not fit.
   * @standard https://webassembly.github.io/spec/js-api/#error-objects
   */
  var LinkError: ErrorConstructor;
  /**
   * Code trapped.
   * @standard https://webassembly.github.io/spec/js-api/#error-objects
   */
  var RuntimeError: ErrorConstructor;
  /**
   * A function was suspended where it cannot be.
   * @standard https://webassembly.github.io/js-promise-integration/js-api/
   */
  var SuspendError: ErrorConstructor;
  /**
   * An import whose promises the caller waits for.
   * @standard https://webassembly.github.io/js-promise-integration/js-api/
   */
  interface Suspending {}
  var Suspending: {
    readonly prototype: Suspending;
    new (f: (...args: any[]) => any): Suspending;
  };
}
