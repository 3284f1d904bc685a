/** `typevisor run` from the outside, with kernels of a few bytes: how a guest ends, and what is told about it. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { out, print, tinyKernel } from './tiny-kernel.js';
import { hasScript, MAIN, onTerminal, typevisor } from './typevisor.js';

const folder = mkdtempSync(join(tmpdir(), 'typevisor-run-'));
const file = (name: string) => join(folder, name);
const kernel = (name: string) => ['run', '--kernel', file(name)];

/** ACPI's reset register. */
const RESET = out(0xcf9, 6);
const HLT_LOOP = [0xf4, 0xeb, 0xfd];
const STI = 0xfb;
const CLI = 0xfa;
/** Sends back what comes in on COM1, and resets the machine at a "q". */
const ECHO = [
  ...print('ready\n'),
  ...[0x66, 0xba, 0xfd, 0x03], // mov dx, 3FDh (LSR)
  ...[0xec, 0xa8, 0x01, 0x74, 0xfb], // in al, dx; test al, 1; jz -5
  ...[0xb2, 0xf8, 0xec, 0xee], // mov dl, F8h; in al, dx; out dx, al
  ...[0x3c, 0x71, 0x74, 0x04], // cmp al, 'q'; je +4
  ...[0xb2, 0xfd, 0xeb, 0xef], // mov dl, FDh; jmp to the first in
  ...RESET,
  ...HLT_LOOP,
];
const GUESTS: { readonly [name: string]: readonly number[] } = {
  hello: [...print('Hello\n'), ...RESET, ...HLT_LOOP],
  crash: [...print('bye'), 0x0f, 0x0b],
  spin: [0xeb, 0xfe],
  count: [0x40, 0xeb, 0xfd], // inc eax; jmp -3
  poll: [0xec, 0xeb, 0xfd], // in al, dx; jmp -3
  idle: [STI, ...HLT_LOOP],
  halt: [CLI, ...HLT_LOOP],
  'unknown-port': [...out(0x1234, 1), ...RESET, ...HLT_LOOP],
  echo: ECHO,
};

/** What `--stats FILE` says about time. */
interface TimeStats {
  readonly wallMs: number;
  readonly regionsCompiled: number;
  readonly instructions: number;
  readonly instructionsInRegions: number;
  readonly exits: Readonly<Record<string, number>>;
  readonly time: {
    readonly runMs: number;
    readonly idleMs: number;
    readonly hostMs: number;
    readonly samples: number;
    readonly interpreterMs: number;
    readonly compiledMs: number;
    readonly devicesMs: number;
    readonly devices: Readonly<Record<string, number>>;
  };
}

beforeAll(() => {
  for (const [name, code] of Object.entries(GUESTS)) writeFileSync(file(name), tinyKernel(code));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('the end of a guest', () => {
  test('its output is on standard output, and only that', async () => {
    const { status, stdout } = await typevisor([...kernel('hello'), '--no-reboot']);
    expect([status, stdout]).toEqual([0, 'Hello\n']);
  });

  test('a restart starts it afresh until it is told otherwise', async () => {
    const { status, stdout } = await typevisor([...kernel('hello'), '--timeout', '1']);
    expect(status).toBe(124);
    expect(stdout).toMatch(/^(Hello\n){2}/);
  });

  test('a triple fault: status 3, with registers, mode and the last exits', async () => {
    const { status, stdout, stderr } = await typevisor(kernel('crash'));
    expect([status, stdout]).toEqual([3, 'bye']);
    expect(stderr).toMatch(/typevisor: The guest crashed: .*triple fault/i);
    expect(stderr).toMatch(/vCPU 0 in 32-bit protected mode, no paging/);
    expect(stderr).toMatch(/eip 001000\w\w/);
    expect(stderr).toMatch(/port-out 0x3f8 = 0x62\n.*port-out 0x3f8 = 0x79\n.*port-out 0x3f8 = 0x65/);
  });

  test('a timeout: status 124, whether it works or sleeps', async () => {
    for (const name of ['spin', 'idle']) {
      const { status, stderr } = await typevisor([...kernel(name), '--timeout', '0.5']);
      expect([name, status]).toEqual([name, 124]);
      expect(stderr).toMatch(/ended after 0\.5 s/);
    }
  });

  test('halted with interrupts off: an error, at once rather than never', async () => {
    const { status, stderr } = await typevisor([...kernel('halt'), '--timeout', '30']);
    expect(stderr).toMatch(/The guest halted for good/);
    expect(status).toBe(1);
  });

  test('strict I/O: the unclaimed port is named; without it the guest goes on', async () => {
    const strict = await typevisor([...kernel('unknown-port'), '--strict-io']);
    expect(strict.stderr).toMatch(/byte-wide out of port 0x1234 at rip 0x1000\w\w, and strict I\/O is on\./);
    expect(strict.status).toBe(1);
    expect((await typevisor([...kernel('unknown-port'), '--no-reboot'])).status).toBe(0);
  });
});

describe('input', () => {
  test('standard input reaches the guest’s console, all of it and in order', async () => {
    const text = Array.from({ length: 3000 }, (_, i) => `line ${i}\n`).join('');
    const { status, stdout } = await typevisor([...kernel('echo'), '--no-reboot'], { input: `${text}q` });
    expect(status).toBe(0);
    expect(stdout).toBe(`ready\n${text}q`);
  });
});

describe('statistics', () => {
  test('--stats writes JSON beside and renames it; --verbose tells the same to people', async () => {
    const path = file('stats.json');
    const { stderr } = await typevisor([...kernel('hello'), '--no-reboot', '--stats', path, '--verbose']);
    const stats = JSON.parse(readFileSync(path, 'utf8')) as { [key: string]: unknown };
    expect(stats).toMatchObject({
      engine: 'soft',
      arch: 'amd64',
      memory: 512 * 1024 * 1024,
      cpus: 1,
      result: 'reset',
      status: 0,
      exits: { 'port-out': 7 },
    });
    for (const key of ['instructions', 'wallMs', 'blocksDecoded', 'rss', 'rssPeak']) {
      expect([key, Number(stats[key]) > 0]).toEqual([key, true]);
    }
    expect(readdirSync(folder).filter((name) => name.includes('.tmp'))).toEqual([]);
    expect(stderr).toMatch(/Engine: soft/);
    expect(stderr).toMatch(/exits: port-out 7/);
  });

  test('--stats tells where the time went: a guest that computes is in the interpreter or in compiled code', async () => {
    const path = file('spin.json');
    await typevisor([...kernel('count'), '--timeout', '1', '--stats', path]);
    const { time, wallMs, exits } = JSON.parse(readFileSync(path, 'utf8')) as TimeStats;
    expect(time.samples).toBeGreaterThan(0);
    expect((time.interpreterMs + time.compiledMs) / time.runMs).toBeGreaterThan(0.5);
    expect(time.runMs + time.idleMs + time.hostMs).toBeCloseTo(wallMs, 6);
    expect(exits['port-in']).toBeUndefined();
    expect(time.devices['port-in']).toBeUndefined();
  });

  test('--stats tells where the time went: a hot loop is in compiled code where there is a second tier', async () => {
    const path = file('hot.json');
    const env = { TYPEVISOR_REGIONS: '1' };
    await typevisor([...kernel('count'), '--timeout', '2', '--stats', path], { env });
    const stats = JSON.parse(readFileSync(path, 'utf8')) as TimeStats;
    // How soon the loop is compiled depends on who else wants the processor: the compiler gives way to everybody.
    expect(stats.regionsCompiled).toBeGreaterThan(0);
    expect(stats.instructionsInRegions).toBeGreaterThan(0);
    expect(stats.instructionsInRegions).toBeLessThanOrEqual(stats.instructions);
    expect(stats.time.compiledMs).toBeGreaterThan(0);
  });

  test('--stats tells where the time went: a guest that polls a port is in that device, by kind of exit', async () => {
    const path = file('poll.json');
    await typevisor([...kernel('poll'), '--timeout', '1', '--stats', path]);
    const { time } = JSON.parse(readFileSync(path, 'utf8')) as TimeStats;
    expect(time.devices['port-in']).toBeGreaterThan(0.2 * time.runMs);
    expect(time.devices['port-in']).toBeGreaterThan(0.9 * time.devicesMs);
  });

  test('--stats tells where the time went: one that sleeps is idle', async () => {
    const path = file('idle.json');
    await typevisor([...kernel('idle'), '--timeout', '1', '--stats', path]);
    const { time } = JSON.parse(readFileSync(path, 'utf8')) as TimeStats;
    expect(time.idleMs).toBeGreaterThan(time.runMs);
  });

  test('--stats without a file shows a table on standard error, and standard output stays the guest’s', async () => {
    const { stdout, stderr } = await typevisor([...kernel('hello'), '--no-reboot', '--stats']);
    expect(stdout).toBe('Hello\n');
    expect(stderr).toMatch(/^in the engine +\d+\.\d+ s/m);
    expect(stderr).toMatch(/^idle +\d+\.\d+ s/m);
    expect(stderr).toMatch(/exits: port-out 7/);
  });

  test('a deterministic guest does the same every time', async () => {
    const run = async (name: string) => {
      await typevisor([...kernel('hello'), '--no-reboot', '--deterministic', '--stats', file(name)]);
      const { instructions, exits, slices } = JSON.parse(readFileSync(file(name), 'utf8')) as {
        [key: string]: unknown;
      };
      return { instructions, exits, slices };
    };
    expect(await run('first.json')).toEqual(await run('second.json'));
  });
});

/** The terminal's settings before and after, as `stty -g` prints them. */
function settings(output: string): string[] {
  return [...output.matchAll(/^([0-9a-f]+(?::[0-9a-f]+){10,})\r?$/gm)].map((match) => match[1]);
}

describe.skipIf(!hasScript)('on a terminal', () => {
  const line = (guest: string) => {
    const run = `exec ${process.execPath} ${MAIN} run --kernel ${file(guest)}`;
    return `stty -g; sh -c 'echo pid $$; ${run}'; echo status $?; stty -g`;
  };

  test('Ctrl-a x ends the guest with status 0 and the terminal is as it was', async () => {
    // What is typed reaches the guest raw: the guest's echo is the only one.
    const { stdout } = await onTerminal(line('echo'), { when: 'ready', type: 'abc' }, { when: 'abc', type: '\x01x' });
    expect(stdout).toMatch(/status 0/);
    expect(stdout.match(/abc/g)).toHaveLength(1);
    const [before, after] = settings(stdout);
    expect(before).toBeDefined();
    expect(after).toBe(before);
  });

  test('^C three times ends it, as nobody could guess Ctrl-a x', async () => {
    const { stdout } = await onTerminal(line('echo'), { when: 'ready', type: '\x03\x03\x03' });
    expect(stdout).toMatch(/status 0/);
    const [before, after] = settings(stdout);
    expect(after).toBe(before);
  });

  test.each([
    ['SIGTERM', 143],
    ['SIGHUP', 129],
    ['SIGINT', 130],
  ] as const)('%s ends it with status %d and the terminal is as it was', async (signal, status) => {
    const kill = (stdout: string) => process.kill(Number(/pid (\d+)/.exec(stdout)![1]), signal);
    const { stdout } = await onTerminal(line('echo'), { when: 'ready', act: kill });
    expect(stdout).toMatch(new RegExp(`status ${status}`));
    const [before, after] = settings(stdout);
    expect(before).toBeDefined();
    expect(after).toBe(before);
  });

  test('a crash of the guest leaves the terminal as it was', async () => {
    const { stdout } = await onTerminal(line('crash'), { when: 'never' });
    expect(stdout).toMatch(/status 3/);
    const [before, after] = settings(stdout);
    expect(after).toBe(before);
  });
});
