import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CpioEntry, readCpio } from './cpio.js';
import {
  encodeStdin,
  exitStatus,
  type GuestTask,
  INIT_SCRIPT,
  isReady,
  overlayCpio,
  quote,
  STDIN_END,
  shellCommand,
} from './guest-init.js';
import { appletNames, buildInitramfs, initramfsVersion } from './initramfs.js';

function fileIn(entries: readonly CpioEntry[], path: string): string | undefined {
  const entry = entries.find((e) => e.path === path);
  return entry?.type === 'file' ? new TextDecoder().decode(entry.data) : undefined;
}

const config = (task: GuestTask) => fileIn(readCpio(overlayCpio(task)), 'tv/config') ?? '';

/** What a Linux terminal in canonical mode, with only ^D and ^V special, gives to its reader (termios(3), n_tty). */
function throughTerminal(bytes: Uint8Array): { data: number[]; ended: boolean; longestLine: number } {
  const data: number[] = [];
  let line = 0;
  let longestLine = 0;
  for (let i = 0; i < bytes.length; i++) {
    let byte = bytes[i];
    if (byte === 4) {
      if (line === 0) return { data, ended: i === bytes.length - 1, longestLine };
      line = 0;
      continue;
    }
    const literal = byte === 0x16;
    if (literal) byte = bytes[++i];
    data.push(byte);
    line = byte === 0x0a && !literal ? 0 : line + 1;
    longestLine = Math.max(longestLine, line);
  }
  return { data, ended: false, longestLine };
}

describe('standard input over the serial line', () => {
  it('carries any bytes exactly, in lines that the terminal can hold, and then ends', () => {
    const special = fc
      .array(fc.constantFrom(4, 0x16, 0x0a, 0x0d, 0, 3, 0x41), { maxLength: 3000 })
      .map((a) => new Uint8Array(a));
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.uint8Array({ maxLength: 3000 }), special), { maxLength: 4 }), (pieces) => {
        const sent = new Uint8Array([...pieces.flatMap((piece) => [...encodeStdin(piece)]), ...STDIN_END]);
        const { data, ended, longestLine } = throughTerminal(sent);
        expect(data).toEqual(pieces.flatMap((piece) => [...piece]));
        expect(ended).toBe(true);
        expect(longestLine).toBeLessThan(4095);
      }),
    );
  });
});

describe('the archive that carries a command', () => {
  it('holds the command as it is, however long', () => {
    for (const command of ['echo hi', `echo ${'x'.repeat(200_000)}`]) {
      const entries = readCpio(overlayCpio({ command }));
      expect(fileIn(entries, 'tv/command')).toBe(`${command}\n`);
      expect(entries[0]).toMatchObject({ type: 'directory', path: 'tv' });
    }
    expect(config({ command: 'x' })).toContain('COMMAND=short\n');
    expect(config({ command: 'x'.repeat(200_000) })).toContain('COMMAND=long\n');
  });

  it('is a configuration that the shell reads back exactly', () => {
    const hostile = `a'b"c$d\`e\\f\ng; exit`;
    const text = config({
      command: 'x',
      terminal: true,
      size: { rows: 24, columns: 80 },
      directory: `/it's`,
      environment: { V: hostile, 'bad name': 'x', 'W;': 'y' },
    });
    const shell = spawnSync('sh', ['-c', `${text}\nprintf '%s|' "$V" "$DIR" "$SIZE" "$TERMINAL" "$COMMAND"`]);
    expect(shell.stdout.toString()).toBe(`${hostile}|/it's|24x80|1|short|`);
  });

  it('asks for nothing by itself', () => {
    const entries = readCpio(overlayCpio({}));
    expect(fileIn(entries, 'tv/command')).toBeUndefined();
    expect(config({})).toBe('\n');
  });
});

describe('commands from words', () => {
  it('takes one word as shell, and quotes several', () => {
    expect(shellCommand(['echo a | wc -c'])).toBe('echo a | wc -c');
    expect(shellCommand(['ls', '-l', 'a b', "it's", ''])).toBe(`ls -l 'a b' 'it'\\''s' ''`);
    fc.assert(
      fc.property(
        fc.string().filter((s) => !s.includes('\0')),
        (word) => {
          expect(spawnSync('sh', ['-c', `printf %s ${quote(word)}`]).stdout.toString()).toBe(word);
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe('network cards', () => {
  it('are named where nobody serves addresses, and nothing is said where all are served', () => {
    expect(config({ unserved: ['eth0', 'eth2'] })).toContain("UNSERVED='eth0 eth2'\n");
    expect(config({ unserved: [] })).not.toContain('UNSERVED');
  });
});

describe('what the guest reports', () => {
  it('is read from whole lines only', () => {
    expect(exitStatus('ready\nexit 7\n')).toBe(7);
    expect(exitStatus('ready\r\nexit 137\r\n')).toBe(137);
    expect(exitStatus('ready\nexit 1')).toBeUndefined();
    expect(isReady('ready\n')).toBe(true);
    expect(isReady('read')).toBe(false);
  });
});

describe('the initial RAM disk', () => {
  const busybox = new TextEncoder().encode('\x7fELF junk [ [[ \0[\0[[\0acpid\0ash\0mount\0poweroff\0zcat\0\0junk\0');

  it('finds the applets inside busybox', () => {
    expect(appletNames(busybox)).toEqual(['[', '[[', 'acpid', 'ash', 'mount', 'poweroff', 'zcat']);
    expect(appletNames(new Uint8Array(100))).toEqual([]);
  });

  it('holds init, busybox, a link for each applet and the modules, each directory before its contents', () => {
    const module: CpioEntry = { type: 'file', path: 'lib/modules/1/x.ko', mode: 0o644, data: new Uint8Array([1]) };
    const entries = readCpio(buildInitramfs(busybox, [module]));
    const paths = entries.map((e) => e.path);
    expect(new Set(paths).size).toBe(paths.length);
    const directories = new Set(['']);
    for (const e of entries) {
      expect(directories).toContain(e.path.includes('/') ? e.path.replace(/\/[^/]*$/, '') : '');
      if (e.type === 'directory') directories.add(e.path);
    }
    expect(fileIn(entries, 'init')).toBe(INIT_SCRIPT);
    expect(entries.find((e) => e.path === 'init')?.mode).toBe(0o755);
    expect(entries).toContainEqual({ type: 'symlink', path: 'bin/mount', mode: 0o777, target: 'busybox' });
    // Not busybox's own, which would only signal PID 1.
    expect(fileIn(entries, 'bin/poweroff')).toContain('-f');
    expect(entries).toContainEqual(module);
  });

  it('has a version that depends on what is in it', () => {
    expect(initramfsVersion()).toMatch(/^[0-9a-f]{8}$/);
  });

  it('has an init that a shell can parse', () => {
    expect(spawnSync('sh', ['-n'], { input: INIT_SCRIPT }).stderr.toString()).toBe('');
  });
});
