// A kernel of our own, with timer interrupts, calls and code that changes, on two machines at once.

import { beforeAll, describe, expect, test } from 'vitest';
import { machineConfig } from '../../src/config/config.js';
import { SoftEngine, type SoftModules } from '../../src/engine/soft/engine.js';
import { STAT_COMPILED } from '../../src/engine/soft/layout.js';
import { createLinuxMachine } from '../../src/host/node/machine.js';
import { SerialPort } from '../../src/host/node/serial.js';
import { assemble } from '../asm/assemble.js';
import { tinyKernel } from '../cli/tiny-kernel.js';
import { compileModules } from '../core/compile.js';
import { type LockstepOptions, lockstep, type Make } from './lockstep.js';

const BASE = 0x10_0000;
const TABLE = 0x20_0000;

/** Fills and mixes a table under a timer tick of 1 ms, patches its own code, and halts for good after three million instructions. */
const PROGRAM = `
    mov esp, 0x90000
    lgdt [gdtr]
    jmp 8:flat
  flat:
    mov eax, 16
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov edi, idt
    mov edx, wrong
    mov ecx, 256
  gates:
    mov eax, edx
    and eax, 0xffff
    or eax, 0x80000
    mov [edi], eax
    mov eax, edx
    and eax, 0xffff0000
    or eax, 0x8e00
    mov [edi+4], eax
    add edi, 8
    dec ecx
    jnz gates
    mov eax, tick
    mov [idt+0x20*8], ax
    lidt [idtr]
    mov al, 0x11
    out 0x20, al
    mov al, 0x20
    out 0x21, al
    mov al, 4
    out 0x21, al
    mov al, 1
    out 0x21, al
    mov al, 0xfe
    out 0x21, al
    mov al, 0x34
    out 0x43, al
    mov al, 0xa9
    out 0x40, al
    mov al, 4
    out 0x40, al
    fninit
    sti
    mov esi, 40
  round:
    mov edi, ${TABLE}
    mov ecx, 4096
    mov eax, esi
  fill:
    call mix
    stosd
    fild dword [edi-4]
    fstp qword [edi+0x10000]
    loop fill
    xor ebx, ebx
    mov ecx, 4096
  sum:
    mov edx, [${TABLE}+ecx*4-4]
    adc ebx, edx
    rol ebx, 3
    test bl, 1
    jz even
    xor ebx, [ticks]
  even:
    dec ecx
    jnz sum
    mov [${TABLE - 4}], ebx
    rdtsc
    mov [${TABLE - 8}], eax
    inc byte [mix+2]
    dec esi
    jnz round
    cli
    hlt
  mix:
    imul eax, eax, 5
    ror eax, 7
    add eax, 0x1234567
    ret
  tick:
    push eax
    inc dword [ticks]
    mov al, 0x20
    out 0x20, al
    pop eax
    iretd
  wrong:
    hlt
    jmp wrong
    align 16
  gdt:
    dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
  gdtr:
    dw 23
    dd gdt
  idtr:
    dw 2047
    dd idt
  ticks:
    dd 0
    align 16
  idt:
    zero 2048
`;

describe('two machines in step', { timeout: 120_000 }, () => {
  let modules: SoftModules;
  /** Regions of whatever has been entered eight times. */
  let eager: SoftModules;
  beforeAll(async () => {
    modules = await compileModules();
    eager = await compileModules(true, 8);
  });

  const program = assemble(32, BASE, PROGRAM);
  const kernel = tinyKernel([...program.bytes], BASE);
  const config = machineConfig({ memory: 16 << 20, deterministic: true, reboot: false });
  let engine: SoftEngine;
  const onEngine =
    (made: () => SoftModules): Make =>
    (host, watch) =>
      createLinuxMachine({
        config,
        kernel,
        host,
        serial: [new SerialPort({ write: () => {}, flush: () => undefined })],
        engine: {
          name: 'soft',
          reason: 'test',
          create: async (engineConfig) => {
            engine = new SoftEngine(engineConfig, made());
            return watch(engine);
          },
          prepare: async () => {},
          close: async () => {},
        },
      });
  const run = (options: Partial<LockstepOptions>) =>
    lockstep({
      make: [onEngine(() => modules), onEngine(() => modules)],
      slice: 50_000,
      every: 5,
      until: 20_000_000,
      ...options,
    });

  test('do the same to the last instruction, ticks and all', async () => {
    let last = 0;
    const result = await run({ onProgress: (instructions) => (last = instructions) });
    expect(result.difference).toBeUndefined();
    expect(result.ends).toEqual(['halt', 'halt']);
    expect(result.instructions).toBeGreaterThan(2_000_000);
    expect(result.slices).toBeGreaterThan(40);
    expect(last).toBeGreaterThan(1_900_000);
  });

  test.each([50_000, 997])('do the same where one has compiled regions, in slices of %i', async (slice) => {
    const make = [onEngine(() => modules), onEngine(() => eager)] as const;
    const result = await run({ make, slice, every: 250_000 / slice });
    expect(result.difference).toBeUndefined();
    expect(result.ends).toEqual(['halt', 'halt']);
    expect(engine.regions?.stats.compiled).toBeGreaterThan(5);
    const compiled = Number(engine.view.getBigUint64(STAT_COMPILED, true));
    expect(compiled).toBeGreaterThan(0.7 * result.instructions);
  });

  test('do not when a register changes, and the block is named', async () => {
    const result = await run({
      tamper: (vcpu) => {
        if (vcpu.instructions < 1_000_000) return;
        const state = vcpu.getState();
        state.gpr[5] = 0x55n;
        vcpu.setState(state);
      },
    });
    const { difference } = result;
    expect(difference?.slice).toBe(1);
    expect(difference?.lines).toEqual([expect.stringMatching(/^rbp: .* \| 55$/)]);
    expect(difference?.good).toBeLessThan(1_000_000);
    expect(difference?.good).toBeGreaterThan(1_000_000 - 100);
    const offset = Number(difference?.before.rip) - BASE;
    expect(difference?.code.subarray(0, 8)).toEqual(program.bytes.subarray(offset, offset + 8));
  });

  test('do not when RAM changes that nothing looks at, and the word is named', async () => {
    const result = await run({
      tamper: (vcpu, memory) => {
        if (vcpu.instructions >= 1_500_000) memory.write(0x30_0000, Uint8Array.of(1));
      },
    });
    expect(result.difference?.slice).toBe(1);
    expect(result.difference?.lines).toEqual(['memory at 300000: 00000000 | 00000001']);
    expect(Math.abs((result.difference?.good ?? 0) - 1_500_000)).toBeLessThan(100);
  });
});
