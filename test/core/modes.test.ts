import { beforeAll, describe, expect, test } from 'vitest';
import { assemble } from '../asm/assemble.js';
import { TestMachine } from './machine.js';

// Compiles the core, which may take a while.
beforeAll(async () => void (await TestMachine.create()));

describe('real mode', () => {
  test('runs from CS:IP, and INT pushes FLAGS, CS and IP and goes through the vector table', async () => {
    const m = await TestMachine.create();
    const program = assemble(
      16,
      0x7c00,
      `
      mov sp, 0x7000
      mov ax, 0x1234
      mov word [0x80], handler
      mov word [0x82], 0
      sti
      int 0x20
      after: mov bx, 0x55
      hlt
      handler: mov cx, ax
      iret
    `,
    );
    m.write(0x7c00, program.bytes);
    m.set((s) => {
      s.cs = { ...s.cs, selector: 0, base: 0n };
      s.rip = 0x7c00n;
    });
    expect(m.run()).toEqual({ kind: 'hlt' });
    const s = m.state;
    expect(s.gpr[0]).toBe(0x1234n);
    expect(s.gpr[1]).toBe(0x1234n);
    expect(s.gpr[3]).toBe(0x55n);
    expect(s.gpr[4]).toBe(0x7000n);
    expect(m.u16(0x6ffe) & 0x200).toBe(0x200);
    expect(m.u16(0x6ffc)).toBe(0);
    expect(m.u16(0x6ffa)).toBe(program.at('after'));
    expect(s.rflags & 0x200n).toBe(0x200n);
  });
});
