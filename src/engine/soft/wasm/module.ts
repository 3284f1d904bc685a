/** Writes a WebAssembly module (core specification, section 5: binary format): types, imports, functions, one table. */
import { ByteWriter } from './bytes.js';
import type { FunctionBuilder } from './function.js';
import { TYPE_CODE, type ValType } from './ops.js';

const SECTION = { type: 1, import: 2, function: 3, table: 4, export: 7, element: 9, code: 10 } as const;
/** Custom section "name" (specification, appendix "Custom sections"): profilers show it. */
const CUSTOM = 0;
const MODULE_NAME = 0;
const FUNCREF = 0x70;
const EXTERNAL_FUNCTION = 0x00;
const EXTERNAL_TABLE = 0x01;
const EXTERNAL_MEMORY = 0x02;
/** Of a memory that threads share: minimum and maximum follow (threads proposal, "Limits"). */
const LIMITS_SHARED = 0x03;
/**
 * Compilation hints, a byte a function (the proposal of that name): compile it when it is first called; or optimize it before
 * the module counts as compiled.
 */
const HINT_LAZY = 0x01;
const HINT_OPTIMIZE = 0x2a;
/** What 32 bits address: whatever the imported memory's maximum is, it is no more. */
const MOST_PAGES = 65536;

export interface Signature {
  readonly params: readonly ValType[];
  readonly result: ValType | undefined;
}

interface FunctionImport {
  readonly module: string;
  readonly name: string;
  readonly type: number;
}

export class ModuleBuilder {
  readonly #types: string[] = [];
  readonly #signatures: Signature[] = [];
  readonly #imports: FunctionImport[] = [];
  readonly #functions: { readonly type: number; readonly body: FunctionBuilder }[] = [];
  readonly #exports: { readonly name: string; readonly index: number }[] = [];
  readonly #urgent = new Set<number>();
  #table: readonly number[] = [];
  #importedTable: string | undefined;
  readonly #name: string | undefined;

  /** @param name what profilers call the module */
  constructor(name?: string) {
    this.#name = name;
  }

  /** Index of a function type, made where it is new. */
  type(signature: Signature): number {
    const key = `${signature.params.join()}>${signature.result ?? ''}`;
    const known = this.#types.indexOf(key);
    if (known >= 0) return known;
    this.#signatures.push(signature);
    return this.#types.push(key) - 1;
  }

  /** Imports a function; its index. All imports come before the first `add`. */
  import(module: string, name: string, signature: Signature): number {
    if (this.#functions.length > 0) throw new Error(`import ${module}.${name} after a function was added`);
    return this.#imports.push({ module, name, type: this.type(signature) }) - 1;
  }

  /** Adds a function; its index. */
  add(body: FunctionBuilder): number {
    return this.#imports.length + this.#functions.push({ type: this.type(body.signature), body }) - 1;
  }

  /** This function is going to be hot: it is worth optimizing before it has run, and the others are compiled when called. */
  optimizeAtOnce(index: number): void {
    this.#urgent.add(index);
  }

  export(name: string, index: number): void {
    this.#exports.push({ name, index });
  }

  /** Imports a table of functions as env.`name`: table 0. */
  importTable(name: string): void {
    this.#importedTable = name;
  }

  /** Index of the module's own table. */
  get ownTable(): number {
    return this.#importedTable === undefined ? 0 : 1;
  }

  /** Fills the module's own table with these functions. */
  table(functions: readonly number[]): void {
    this.#table = functions;
  }

  /** The module, importing its memory, which is shared, as env.memory with at least `pages` pages of 64 KiB. */
  build(pages: number): Uint8Array {
    const out = new ByteWriter();
    out.bytes(new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]));
    section(out, SECTION.type, (s) => {
      s.u32(this.#signatures.length);
      for (const { params, result } of this.#signatures) {
        s.u8(0x60);
        s.u32(params.length);
        for (const p of params) s.u8(TYPE_CODE[p]);
        s.u32(result ? 1 : 0);
        if (result) s.u8(TYPE_CODE[result]);
      }
    });
    section(out, SECTION.import, (s) => {
      s.u32(this.#imports.length + 1 + this.ownTable);
      for (const { module, name, type } of this.#imports) {
        s.name(module);
        s.name(name);
        s.u8(EXTERNAL_FUNCTION);
        s.u32(type);
      }
      if (this.#importedTable !== undefined) {
        s.name('env');
        s.name(this.#importedTable);
        s.u8(EXTERNAL_TABLE);
        s.u8(FUNCREF);
        s.u8(0);
        s.u32(1);
      }
      s.name('env');
      s.name('memory');
      s.u8(EXTERNAL_MEMORY);
      s.u8(LIMITS_SHARED);
      s.u32(pages);
      s.u32(MOST_PAGES);
    });
    section(out, SECTION.function, (s) => {
      s.u32(this.#functions.length);
      for (const f of this.#functions) s.u32(f.type);
    });
    if (this.#table.length > 0) {
      section(out, SECTION.table, (s) => {
        s.u32(1);
        s.u8(FUNCREF);
        s.u8(0);
        s.u32(this.#table.length);
      });
    }
    section(out, SECTION.export, (s) => {
      s.u32(this.#exports.length);
      for (const { name, index } of this.#exports) {
        s.name(name);
        s.u8(EXTERNAL_FUNCTION);
        s.u32(index);
      }
    });
    if (this.#table.length > 0) {
      section(out, SECTION.element, (s) => {
        s.u32(1);
        s.u32(2); // active, with a table index and an element kind
        s.u32(this.ownTable);
        s.u8(0x41);
        s.s32(0);
        s.u8(0x0b);
        s.u8(0x00); // kind: functions
        s.u32(this.#table.length);
        for (const f of this.#table) s.u32(f);
      });
    }
    const bodies = this.#functions.map(({ body }) => body.finish());
    // The branch hinting proposal's section; whoever does not know it skips it.
    const hinted = bodies
      .map(({ hints }, i) => ({ hints, index: this.#imports.length + i }))
      .filter((b) => b.hints.length);
    if (hinted.length > 0)
      section(out, CUSTOM, (s) => {
        s.name('metadata.code.branch_hint');
        s.u32(hinted.length);
        for (const { hints, index } of hinted) {
          s.u32(index);
          s.u32(hints.length);
          for (const { at, likely } of hints) {
            s.u32(at);
            s.u32(1);
            s.u8(likely ? 1 : 0);
          }
        }
      });
    if (this.#urgent.size > 0)
      section(out, CUSTOM, (s) => {
        s.name('compilationHints');
        s.u32(bodies.length);
        for (const i of bodies.keys()) s.u8(this.#urgent.has(this.#imports.length + i) ? HINT_OPTIMIZE : HINT_LAZY);
      });
    section(out, SECTION.code, (s) => {
      s.u32(bodies.length);
      for (const { bytes } of bodies) {
        s.u32(bytes.length);
        s.bytes(bytes);
      }
    });
    if (this.#name !== undefined) {
      const name = this.#name;
      section(out, CUSTOM, (s) => {
        s.name('name');
        section(s, MODULE_NAME, (n) => n.name(name));
      });
    }
    return out.view().slice();
  }
}

function section(out: ByteWriter, id: number, fill: (s: ByteWriter) => void): void {
  const body = new ByteWriter();
  fill(body);
  out.u8(id);
  out.u32(body.length);
  out.bytes(body.view());
}
