// Regions under a guest that makes code for ever: what has been compiled of it must go again.

import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { enterLongMode } from './long-mode.js';
import { TestMachine } from './machine.js';

/** Mappings of this process: V8 gives each module's code some of its own. */
const mappings = () => readFileSync('/proc/self/maps', 'utf8').split('\n').length;

/** Each time around it patches the loop's constant and runs the loop 4,000 times: long enough to be wanted at once. */
const REWRITER = `
  mov r8d, 1500
again:
  mov dword [rel patch + 1], r8d
  mov ecx, 4000
  call work
  dec r8d
  jnz again
  hlt
  align 64
work:
patch:
  mov eax, 1
  add rbx, rax
  dec ecx
  jnz work
  ret
`;

test('code that is rewritten and run hot thousands of times leaves a bounded number of regions and mappings', async () => {
  const m = await TestMachine.create({ regions: true, hotEvery: 64 });
  enterLongMode(m, REWRITER);
  m.set((s) => {
    s.gpr[3] = 0n;
  });
  const before = existsSync('/proc/self/maps') ? mappings() : 0;
  const { stats } = m.engine.regions!;
  // Slices so short that a region is ready before its code is rewritten.
  while (m.run(1000).kind === 'budget');
  expect(m.state.gpr[3]).toBe((4000n * 1500n * 1501n) / 2n);
  expect(stats.compiled).toBeGreaterThan(1200);
  expect(stats.compiled - stats.dropped).toBeLessThan(20);
  if (before) expect(mappings() - before).toBeLessThan(5000);
}, 120_000);

test('regions do the same as the interpreter in the very same number of instructions', async () => {
  const run = async (regions: boolean) => {
    const m = await TestMachine.create({ regions, hotEvery: 64 });
    enterLongMode(m, REWRITER.replace('1500', '150'));
    while (m.run(177).kind === 'budget');
    return { instructions: m.cpu.instructions, gpr: m.state.gpr, rflags: m.state.rflags };
  };
  expect(await run(true)).toEqual(await run(false));
});

/** Calls a function that is compiled by and by, then another one, whose end has run once more than its beginning. */
const END_AHEAD = `
  lea r9, [rel first]
  mov ecx, 60000
  call again
  call end
  lea r9, [rel second]
  mov ecx, 60000
  call again
  hlt
again:
  call r9
  dec ecx
  jnz again
  ret
first:
  ret
second:
  add rax, 1
  jmp end
end:
  add rbx, 1
  jnz last
  nop
last:
  ret
`;

test('a path that becomes hot from its end is compiled once', async () => {
  const m = await TestMachine.create({ regions: true });
  enterLongMode(m, END_AHEAD);
  m.set((s) => {
    s.gpr[0] = 0n;
    s.gpr[3] = 0n;
  });
  while (m.run(20_000).kind === 'budget');
  expect(m.state.gpr[0]).toBe(60_000n);
  expect(m.state.gpr[3]).toBe(60_001n);
  // One for the loop, one for the second function, whose end was to be compiled by itself when its beginning became hot.
  expect(m.engine.regions!.stats).toMatchObject({ compiled: 2, dropped: 0, instructions: 11 });
});
