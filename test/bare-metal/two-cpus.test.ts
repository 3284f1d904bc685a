/** Two processors that take turns: each keeps what is its own, above all which pages it may touch. */
import { expect, test } from 'vitest';
import type { Vcpu } from '../../src/engine/contract.js';
import { QUIET_SINK } from '../../src/engine/quiet-sink.js';
import { openEngine } from './engines.js';

const DIRECTORY = 0x1000;
const TABLE = 0x2000;
/** A page for ring 0 only, and the code, which everybody may read. */
const SECRET = 0x8000;
const CODE = 0x9000;
const [PRESENT, WRITABLE, USER] = [1, 2, 4];

/** 32-bit paging, flat segments, at CODE; with no IDT an exception is a shutdown. */
function prepare(cpu: Vcpu, ring: 0 | 3): void {
  const state = cpu.getState();
  const dpl = ring << 5;
  const flat = (selector: number, attributes: number) => ({
    selector: selector | ring,
    base: 0n,
    limit: 0xffff_ffff,
    attributes: attributes | dpl,
  });
  state.activity = 'running';
  state.cr0 = 0x8000_0011n;
  state.cr3 = BigInt(DIRECTORY);
  state.cs = flat(8, 0xc09b);
  for (const name of ['ss', 'ds', 'es'] as const) state[name] = flat(16, 0xc093);
  state.rip = BigInt(CODE);
  cpu.setState(state);
}

test('a processor of ring 0 and one of ring 3 that take turns reach what each may, and no more', () => {
  const engine = openEngine({ memorySize: 2 * 1024 * 1024, cpus: 2, sink: QUIET_SINK, tscHz: 1e9 });
  const put = (gpa: number, value: number) => engine.memory.write(gpa, new Uint8Array(Uint32Array.of(value).buffer));
  put(DIRECTORY, TABLE | PRESENT | WRITABLE | USER);
  for (let page = 0; page < 16; page++) put(TABLE + page * 4, (page << 12) | PRESENT | WRITABLE | USER);
  put(TABLE + (SECRET >> 12) * 4, SECRET | PRESENT | WRITABLE);
  // mov eax, [SECRET]; jmp CODE; and at CODE + 16: inc ecx; jmp CODE + 16
  engine.memory.write(CODE, Uint8Array.of(0xa1, 0x00, 0x80, 0x00, 0x00, 0xeb, 0xf9));
  engine.memory.write(CODE + 16, Uint8Array.of(0x41, 0xeb, 0xfd));
  const [kernel, user] = engine.vcpus;
  prepare(kernel, 0);
  prepare(user, 3);
  const idle = user.getState();
  idle.rip = BigInt(CODE + 16);
  user.setState(idle);
  for (let turn = 0; turn < 3; turn++) {
    expect(kernel.run(100)).toEqual({ kind: 'budget' });
    expect(user.run(100)).toEqual({ kind: 'budget' });
  }
  expect(kernel.run(100)).toEqual({ kind: 'budget' });
  const curious = user.getState();
  curious.rip = BigInt(CODE);
  user.setState(curious);
  expect(user.run(100).kind).toBe('shutdown');
  engine.close();
});
