/** Runs the built command line from the outside, as a user does. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunSettings {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string | Uint8Array;
  /** How long it may take; default 1. */
  readonly minutes?: number;
}

/** Runs `typevisor ARGS` to its end; a minute is long enough for almost everything here. */
export async function typevisor(args: readonly string[], settings: RunSettings = {}): Promise<Outcome> {
  const { env = {}, input = '', minutes = 1 } = settings;
  if (!existsSync(MAIN)) throw new Error('There is no dist yet; run npm run build.');
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, ...env },
    timeout: minutes * 60_000,
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { status, stdout, stderr };
}

/** util-linux's script gives a program a terminal of its own. */
export const hasScript = spawnSync('script', ['--version']).status === 0;

export interface Cue {
  readonly when: string | RegExp;
  readonly type?: string;
  readonly act?: (output: string) => void;
}

function seen(text: string, what: string | RegExp): boolean {
  return typeof what === 'string' ? text.includes(what) : what.test(text);
}

/** Runs a line of shell on a terminal of its own; types or does what each cue says once its `when` has been printed. */
export async function onTerminal(line: string, ...cues: Cue[]): Promise<Outcome> {
  const child = spawn('script', ['-qefc', line, '/dev/null'], { timeout: 60_000 });
  let stdout = '';
  child.stdout.setEncoding('latin1').on('data', (text: string) => {
    stdout += text;
    while (cues.length > 0 && seen(stdout, cues[0].when)) {
      const { type = '', act } = cues.shift()!;
      child.stdin.write(type);
      act?.(stdout);
    }
  });
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { status, stdout, stderr: '' };
}
