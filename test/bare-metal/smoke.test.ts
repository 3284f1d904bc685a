import { expect, test } from 'vitest';
import { machine } from './bench.js';
import { V } from './layout.js';

test.each(['real', 'protected', 'long', 'compat', 'v8086'] as const)('a program in %s mode computes and is interrupted', (mode) => {
  const b = machine(mode);
  const out = b.go('mov ax, 5\n add ax, 6\n mov cx, 0x1234\n div_error: mov bl, 0\n div bl\n hlt');
  expect(out).toMatchObject({ exit: 'hlt', vector: V.DE });
  expect(b.reg('rax')).toBe(11n);
});
test.each(['protected', 'long', 'compat'] as const)('ring 3 %s mode', (mode) => {
  const b = machine(mode, {ring: 3, paging: mode === 'protected' ? '32' : '4-level'});
  const p = b.load('mov ax, 5\n add ax, 6\n mov ebx, [0x50000]\n x: mov ecx, [0x20000]\n hlt');
  expect(b.run()).toMatchObject({ exit: 'hlt', vector: V.PF, error: 5, cr2: 0x20000, rip: p.at('x'), sp: 0x60000 });
  expect(b.reg('rax')).toBe(11n);
});
