/** The debian guest from the outside: both architectures, the command protocol, the terminal. Fetched once, then cached. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { hasScript, MAIN, onTerminal, typevisor } from './typevisor.js';

const hasApt = spawnSync('apt-get', ['--version']).status === 0;
/** A first run fetches the guest. */
const PATIENCE = 240_000;

describe.skipIf(!hasApt)('the debian guest', { timeout: PATIENCE }, () => {
  test('without a terminal: shows its name and memory, and switches itself off with status 0', async () => {
    const { status, stdout } = await typevisor(['run', 'debian', '--memory', '256M']);
    expect(stdout).toMatch(/^Linux typevisor 6\.\S+ .* x86_64 GNU\/Linux\r?$/m);
    expect(stdout).toMatch(/^Mem: +2\d\d /m);
    expect(status).toBe(0);
  });

  test('on i386: the 686 kernel', async () => {
    const { status, stdout } = await typevisor(['run', 'debian', '--arch', 'i386', '--', 'uname', '-m']);
    expect([status, stdout]).toEqual([0, 'i686\n']);
  });

  test('a command: its output, its errors and its status are its own, and nothing is added', async () => {
    const { status, stdout, stderr } = await typevisor(['run', 'debian', '--', 'echo out; echo err >&2; exit 7']);
    expect({ status, stdout, stderr }).toEqual({ status: 7, stdout: 'out\n', stderr: 'err\n' });
  });

  test('several words are taken as they are', async () => {
    const { stdout } = await typevisor(['run', 'debian', '--', 'printf', '%s|', 'a b', "it's", '$HOME', '--', '-x']);
    expect(stdout).toBe("a b|it's|$HOME|--|-x|");
  });

  test('standard input reaches the command byte for byte, with its end, however long', async () => {
    const input = randomBytes(300_000);
    const { status, stdout } = await typevisor(['run', 'debian', '--', 'base64 -w 0; echo; echo end'], { input });
    expect(status).toBe(0);
    expect(stdout).toBe(`${input.toString('base64')}\nend\n`);
  });

  test('much output comes out whole', async () => {
    const { stdout } = await typevisor(['run', 'debian', '--', 'seq 1 40000']);
    expect(stdout).toBe(Array.from({ length: 40_000 }, (_, i) => `${i + 1}\n`).join(''));
  });

  test('a guest that panics is told of, with the last lines of its console', async () => {
    const { status, stderr } = await typevisor(['run', 'debian', '--', 'echo c >/proc/sysrq-trigger']);
    expect(stderr).toMatch(/typevisor: The guest restarted instead of finishing/);
    expect(stderr).toMatch(/Kernel panic/);
    expect(status).toBe(1);
  });

  test('with --cpus it has as many processors', async () => {
    const { stdout } = await typevisor(['run', 'debian', '--cpus', '2', '--', 'nproc']);
    expect(stdout).toBe('2\n');
  });

  test('a deterministic guest sees the same time and the same random numbers in every run', async () => {
    const look = ['run', 'debian', '--deterministic', '--', 'date; cat /proc/uptime; head -c 12 /dev/urandom | base64'];
    const first = await typevisor(look);
    expect(first.stdout).toMatch(/^Mon Jan {2}1 00:00:0\d UTC 2024\n/);
    expect(await typevisor(look)).toEqual(first);
  });

  test('--timeout ends a command, too', async () => {
    const { status } = await typevisor(['run', 'debian', '--timeout', '1', '--', 'sleep 1000']);
    expect(status).toBe(124);
  });

  test.skipIf(!hasScript)('on a terminal: a shell that knows the window, and Ctrl-a x as the way out', async () => {
    const line = `stty rows 33 cols 101; ${process.execPath} ${MAIN} run debian; echo status $?`;
    const { stdout } = await onTerminal(
      line,
      { when: 'root@typevisor', type: 'stty size; tty; echo $((6*7)).\r' },
      { when: '42.', type: '\x01x' },
    );
    expect(stdout).toMatch(/^33 101\r$/m);
    expect(stdout).toMatch(/status 0/);
  });

  test.skipIf(!hasScript)('on a terminal: a command gets one, and its ^C', async () => {
    const line = `${process.execPath} ${MAIN} run debian -- 'tty; echo go; sleep 1000'; echo status $?`;
    const { stdout } = await onTerminal(line, { when: 'go', type: '\x03' });
    expect(stdout).toMatch(/^\/dev\/ttyS1\r+$/m);
    expect(stdout).toMatch(/status 130/);
  });

  test.skipIf(!hasScript)('its reboot starts it afresh, and its poweroff ends it', async () => {
    const line = `${process.execPath} ${MAIN} run debian; echo status $?`;
    const { stdout } = await onTerminal(
      line,
      { when: 'root@typevisor', type: 'echo one >/tmp/mark; reboot\r' },
      { when: /Restarting system[\s\S]*root@typevisor/, type: 'cat /tmp/mark; poweroff\r' },
    );
    expect(stdout).toMatch(/cat: can't open '\/tmp\/mark'/);
    expect(stdout).toMatch(/status 0/);
  });
});
