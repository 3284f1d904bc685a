/**
 * What is kept of translations (TLB, PCIDs, decoded code by address) never shows: programs that edit page tables, do what
 * the architecture asks for after it (SDM vol. 3, 4.10.4), and go on in this or another address space see the new tables.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Bench, machine } from './bench.js';
import {
  A,
  CODE,
  CR4,
  D,
  DATA,
  G,
  IDT,
  P,
  PD,
  PDPT,
  PS,
  PT,
  SPARE,
  U,
  USER_CODE,
  USER_DATA,
  W,
  WINDOW,
} from './layout.js';

const SPACES = 3;
/** Each space runs under so many PCIDs, more in all than anybody keeps sets for. */
const ALIASES = 4;
const PAGES = 4;
/** This one is global and the same in all spaces. */
const GLOBAL_PAGE = PAGES - 1;
const FRAMES = 8;
const LOG = USER_DATA;
const SERVICE = 0x50;

const tables = (space: number) => SPARE + 0x10000 + space * 0x4000;
const tableOf = (space: number) => tables(space) + 0x3000;
const entryAt = (space: number, page: number) => tableOf(space) + page * 8;
const frameAt = (frame: number) => SPARE + 0x40000 + frame * 0x1000;
const linear = (page: number) => WINDOW + page * 0x1000;
const idOf = (frame: number) => 0x1100 + frame;
const pcidOf = (space: number, alias: number) => 1 + space + alias * SPACES;

type Op =
  | {
      readonly op: 'access';
      readonly kernel: boolean;
      readonly kind: 'read' | 'write' | 'call' | 'cross';
      page: number;
    }
  | { readonly op: 'switch'; readonly space: number; readonly alias: number }
  | { readonly op: 'edit'; space: number; page: number; frame: number; flush: Flush; alias: number; look: boolean }
  | {
      readonly op: 'editGlobal';
      space: number;
      alias: number;
      readonly frame: number;
      readonly flush: 'page' | 'all' | 'pge';
    };
type Flush = 'page' | 'address' | 'context' | 'all' | 'nonGlobal' | 'reload';

const below = (n: number) => fc.integer({ min: 0, max: n - 1 });
const access = fc.record({
  op: fc.constant('access' as const),
  kernel: fc.boolean(),
  kind: fc.constantFrom('read' as const, 'write' as const, 'call' as const, 'cross' as const),
  page: below(PAGES),
});
const anyOp: fc.Arbitrary<Op> = fc.oneof(
  { weight: 5, arbitrary: access },
  {
    weight: 2,
    arbitrary: fc.record({ op: fc.constant('switch' as const), space: below(SPACES), alias: below(ALIASES) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('edit' as const),
      space: below(SPACES),
      page: below(GLOBAL_PAGE),
      frame: below(FRAMES),
      flush: fc.constantFrom<Flush>('page', 'address', 'context', 'all', 'nonGlobal', 'reload'),
      alias: below(ALIASES),
      look: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant('editGlobal' as const),
      frame: below(FRAMES),
      flush: fc.constantFrom('page' as const, 'all' as const, 'pge' as const),
      space: below(SPACES),
      alias: below(ALIASES),
    }),
  },
);

/** Writes the program for ring 3, the services of ring 0 that it asks for, and what it must find. */
class Script {
  readonly user: string[] = [];
  readonly services: string[] = [];
  readonly expected: number[] = [];
  /** Frames by space and page; bits that an entry must have by now. */
  readonly frames: number[][];
  readonly marks: number[][];
  readonly written = new Map<number, number>();
  /** By PCID: pages whose old translations may still be kept. */
  readonly stale = new Map<number, Set<number>>();
  space = 0;
  pcid = pcidOf(0, 0);

  constructor() {
    this.frames = Array.from({ length: SPACES }, (_, s) =>
      Array.from({ length: PAGES }, (_, p) => (p === GLOBAL_PAGE ? 0 : (s + p) % FRAMES)),
    );
    this.marks = this.frames.map((row) => row.map(() => 0));
    for (let s = 0; s < SPACES; s++) for (let a = 0; a < ALIASES; a++) this.stale.set(pcidOf(s, a), new Set());
  }

  add(op: Op): void {
    if (op.op === 'access') this.#access(op.kernel, op.kind, op.page);
    else if (op.op === 'switch') this.#switch(op.space, pcidOf(op.space, op.alias));
    else if (op.op === 'edit') {
      const { space, pcid } = this;
      const edited = pcidOf(op.space, op.alias);
      if (op.look) this.#look(op.space, edited, op.page);
      if (op.look) this.#switch(space, pcid);
      this.#edit(op.space, op.page, op.frame, op.flush, edited);
      if (op.look) this.#look(op.space, edited, op.page);
    } else {
      // Another address space has seen the page before, and sees it after.
      const { space, pcid } = this;
      const other = pcidOf(op.space, op.alias);
      this.#look(op.space, other, GLOBAL_PAGE);
      this.#switch(space, pcid);
      this.#editGlobal(op.frame, op.flush);
      this.#look(op.space, other, GLOBAL_PAGE);
    }
  }

  /** From ring 3, in the given space. */
  #look(space: number, pcid: number, page: number): void {
    this.#switch(space, pcid);
    this.#access(false, 'read', page);
    this.#access(false, 'call', page);
  }

  #service(source: string): void {
    this.user.push(`int ${SERVICE}`);
    this.services.push(source);
  }

  #log(register: string, value: number): string {
    this.expected.push(value >>> 0);
    return `mov [${LOG + (this.expected.length - 1) * 4}], ${register}\n`;
  }

  #access(kernel: boolean, kind: 'read' | 'write' | 'call' | 'cross', page: number): void {
    const frames = this.frames[this.space];
    const at = linear(page);
    const id = idOf(frames[page]);
    this.marks[this.space][page] |= kind === 'write' ? A | D : A;
    let source: string;
    if (kind === 'read') {
      source = `mov ecx, [${at + 8}]\n ${this.#log('ecx', id)} mov ecx, [${at + 0x800}]\n`;
      source += this.#log('ecx', this.written.get(frames[page]) ?? 0);
    } else if (kind === 'write') {
      this.written.set(frames[page], this.expected.length + 1);
      source = `mov dword [${at + 0x800}], ${this.expected.length + 1}\n`;
    } else if (kind === 'call' || page === PAGES - 1) {
      source = `mov edx, ${at}\n call rdx\n ${this.#log('eax', id)}`;
    } else {
      // The instruction's last four bytes are the first ones of the next page.
      const next = idOf(frames[page + 1]);
      this.marks[this.space][page + 1] |= A;
      source = `mov edx, ${at + 0xffa}\n call rdx\n ${this.#log('ecx', id)} ${this.#log('eax', 0xb8 | (next << 8))}`;
    }
    if (kernel) this.#service(source);
    else this.user.push(source);
  }

  #switch(space: number, pcid: number): void {
    const stale = this.stale.get(pcid)!;
    const keep = stale.size === 0;
    stale.clear();
    this.space = space;
    this.pcid = pcid;
    this.#service(`mov rax, ${BigInt(tables(space) | pcid) | (keep ? 1n << 63n : 0n)}\n mov cr3, rax`);
  }

  #edit(space: number, page: number, frame: number, flush: Flush, pcid: number): void {
    this.frames[space][page] = frame;
    this.marks[space][page] = 0;
    for (let a = 0; a < ALIASES; a++) this.stale.get(pcidOf(space, a))!.add(page);
    const here = space === this.space;
    let source = `mov qword [${entryAt(space, page)}], ${frameAt(frame) | P | W | U}\n`;
    const invpcid = (type: number) =>
      `mov qword [DATA+16], ${pcid}\n mov qword [DATA+24], ${linear(page)}\n mov eax, ${type}\n invpcid rax, [DATA+16]\n`;
    if (flush === 'page' && here) {
      source += `invlpg [${linear(page)}]\n`;
      this.stale.get(this.pcid)!.delete(page);
    } else if (flush === 'address') {
      source += invpcid(0);
      this.stale.get(pcid)!.delete(page);
    } else if (flush === 'context') {
      source += invpcid(1);
      this.stale.get(pcid)!.clear();
    } else if (flush === 'all' || flush === 'nonGlobal') {
      source += invpcid(flush === 'all' ? 2 : 3);
      for (const s of this.stale.values()) s.clear();
    }
    if (this.stale.get(this.pcid)!.size) {
      source += 'mov rax, cr3\n mov cr3, rax\n';
      this.stale.get(this.pcid)!.clear();
    }
    this.#service(source);
  }

  #editGlobal(frame: number, flush: 'page' | 'all' | 'pge'): void {
    let source = '';
    for (let s = 0; s < SPACES; s++) {
      this.frames[s][GLOBAL_PAGE] = frame;
      this.marks[s][GLOBAL_PAGE] = 0;
      source += `mov qword [${entryAt(s, GLOBAL_PAGE)}], ${frameAt(frame) | P | W | U | G}\n`;
    }
    if (flush === 'page') source += `invlpg [${linear(GLOBAL_PAGE)}]\n`;
    else {
      if (flush === 'all') source += 'mov qword [DATA+16], 0\n mov eax, 2\n invpcid rax, [DATA+16]\n';
      else source += 'mov rax, cr4\n btr rax, 7\n mov cr4, rax\n bts rax, 7\n mov cr4, rax\n';
      for (const s of this.stale.values()) s.clear();
    }
    this.#service(source);
  }
}

function prepare(b: Bench, script: Script): void {
  for (let f = 0; f < FRAMES; f++) {
    const id = idOf(f);
    // mov eax, id; ret at 0 (and a second ret for those who come from the page before); mov ecx, id; mov eax, ... at ffah.
    const low = [id & 0xff, id >> 8, 0, 0];
    b.write(frameAt(f), [0xb8, ...low, 0xc3, 0xc3, 0x90, ...low]);
    b.write(frameAt(f) + 0xffa, [0xb9, ...low, 0xb8]);
  }
  for (let s = 0; s < SPACES; s++) {
    const all = P | W | U;
    b.put64(tables(s), (tables(s) + 0x1000) | all);
    b.put64(tables(s) + 0x1000, (tables(s) + 0x2000) | all);
    b.put64(tables(s) + 0x2000, PT | all);
    b.put64(tables(s) + 0x2010, tableOf(s) | all);
    for (let p = 0; p < PAGES; p++)
      b.put64(entryAt(s, p), frameAt(script.frames[s][p]) | all | (p === GLOBAL_PAGE ? G : 0));
  }
  b.state.cr4 |= CR4.PCIDE | CR4.PGE;
  b.state.cr3 = BigInt(tables(0) | pcidOf(0, 0));
}

test('page-table edits, flushes of every kind and changes of PCID: every access sees the tables as they are', () => {
  fc.assert(
    fc.property(fc.array(anyOp, { minLength: 20, maxLength: 100 }), (ops) => {
      const b = machine('long', { ring: 3 });
      const script = new Script();
      prepare(b, script);
      for (const op of ops) script.add(op);
      // Ring 0 does the services in the order in which they are asked for.
      const services = script.services.map((source, i) => `service${i}: ${source}\n jmp done\n`).join('');
      const kernel = b.load(
        `push rax\n push rdx\n mov rax, [DATA]\n inc qword [DATA]\n jmp [DATA+0x100+rax*8]\n` +
          `${services} done: pop rdx\n pop rax\n iretq`,
        CODE,
      );
      for (let i = 0; i < script.services.length; i++) b.put64(DATA + 0x100 + i * 8, kernel.at(`service${i}`));
      b.setGate(SERVICE, CODE, { dpl: 3 });
      b.load(`${script.user.join('\n')}\n int 0x40`, USER_CODE);
      expect(b.run()).toMatchObject({ vector: 0x40 });
      expect(script.expected.map((_, i) => b.u32(LOG + i * 4))).toEqual(script.expected);
      for (let s = 0; s < SPACES; s++)
        // The global page's marks may be in any space's table.
        for (let p = 0; p < GLOBAL_PAGE; p++) {
          const entry = Number(b.u64(entryAt(s, p)));
          const marks = script.marks[s][p];
          expect(entry & marks, `space ${s}, page ${p}`).toBe(marks);
          expect(entry & D).toBe(marks & D);
        }
    }),
    { numRuns: 60 },
  );
}, 120_000);

describe('code at an address', () => {
  const RETURN = (n: number) => [0xb8, n, 0, 0, 0, 0xc3];

  test('of a large page: INVLPG of one address drops all of it, also where the TLB has lost its pieces', () => {
    const b = machine('long');
    const BIG = 0x60_0000;
    b.put64(PD + 24, 0x20_0000 | P | W | PS);
    b.write(0x20_3000, RETURN(1));
    b.write(0x40_3000, RETURN(2));
    b.state.cr4 |= CR4.PGE;
    // Between the two calls, reads of as many other pages as a TLB may have.
    const out = b.go(`
      mov ebx, ${BIG + 0x3000}
      call rbx
      mov esi, eax
      mov ecx, ${BIG + 0x10000}
      next: mov eax, [rcx]
      add ecx, 0x1000
      cmp ecx, ${BIG + 0x20_0000}
      jb next
      mov ecx, 0
      again: mov eax, [rcx]
      add ecx, 0x1000
      cmp ecx, 0x200000
      jb again
      mov qword [${PD + 24}], ${0x40_0000 | P | W | PS}
      invlpg [${BIG + 0x7000}]
      call rbx
      hlt`);
    expect(out.vector).toBe(-1);
    expect([b.reg('rsi'), b.reg('rax')]).toEqual([1n, 2n]);
  });

  test('under two mappings changes under both when it is written through a third', () => {
    const b = machine('long');
    for (let i = 0; i < 3; i++) b.map(WINDOW + i * 0x1000, SPARE, P | W);
    b.write(SPARE, RETURN(1));
    const call = (i: number) => `mov ebx, ${WINDOW + i * 0x1000}\n call rbx\n`;
    b.go(`
      ${call(0)} ${call(1)} mov byte [WINDOW+0x2001], 2
      ${call(0)} mov esi, eax
      ${call(1)} mov edi, eax
      mov byte [WINDOW+1], 3
      ${call(1)} mov ebp, eax
      ${call(0)} hlt`);
    expect(['rsi', 'rdi', 'rbp', 'rax'].map((r) => b.reg(r as 'rax'))).toEqual([2n, 2n, 3n, 3n]);
  });

  test.each([
    ['32-bit', 'protected', '32'],
    ['PAE', 'protected', 'pae'],
    ['4-level', 'long', '4-level'],
  ] as const)('%s paging: millions of CR3 writes later it is found again, or found changed', (_name, mode, paging) => {
    const b = machine(mode, { paging });
    b.map(WINDOW, SPARE, P | W);
    b.map(WINDOW + 0x1000, SPARE + 0x1000, P | W);
    b.write(SPARE, RETURN(1));
    b.write(SPARE + 0x1000, RETURN(2));
    const [a, c, s] = mode === 'long' ? ['rax', 'rbx', 'qword'] : ['eax', 'ebx', 'dword'];
    // As many as the generations of the jump cache are (2^22), so that one comes back.
    const out = b.go(
      `
      mov ${c}, WINDOW
      call ${c}
      mov esi, eax
      mov ${a}, cr3
      mov ecx, 4194304
      next: mov cr3, ${a}
      dec ecx
      jnz next
      mov ${s} [${b.entry(WINDOW)}], ${(SPARE + 0x1000) | P | W}
      mov cr3, ${a}
      call ${c}
      hlt`,
      40_000_000,
    );
    expect(out.vector).toBe(-1);
    expect([b.reg('rsi'), b.reg('rax')]).toEqual([1n, 2n]);
  });
});

test('an IDT at a multiple of 4 GiB is read through the tables as they are after INVLPG and MOV to CR3', () => {
  const b = machine('long');
  const FAR = 2 ** 32;
  const [pd, pt, first, second] = [0, 1, 2, 3].map((n) => SPARE + n * 0x1000);
  b.put64(PDPT + 4 * 8, BigInt(pd | P | W));
  b.put64(pd, BigInt(pt | P | W));
  const p = b.load(
    `int 0x50
     mov qword [SPARE+0x1000], SPARE+0x3000+1
     mov rbx, ${FAR}
     invlpg [rbx]
     int 0x50
     mov qword [SPARE+0x1000], SPARE+0x2000+1
     mov rax, cr3
     mov cr3, rax
     int 0x50
     hlt
     one: inc dword [DATA]
     iretq
     two: inc dword [DATA+4]
     iretq`,
  );
  for (const [table, handler] of [
    [first, 'one'],
    [second, 'two'],
  ] as const) {
    b.setGate(0x50, p.at(handler));
    for (let i = 0; i < 0x1000; i += 8) b.put64(table + i, b.u64(IDT + i));
  }
  b.put64(pt, BigInt(first | P));
  b.state.idtr = { base: BigInt(FAR), limit: 0xfff };
  expect(b.run().vector).toBe(-1);
  expect([b.u32(DATA), b.u32(DATA + 4)]).toEqual([2, 1]);
});
