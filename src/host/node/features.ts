/** What this machine offers, for `typevisor doctor`. */
import { accessSync, constants, mkdirSync, readdirSync, statfsSync } from 'node:fs';
import { freemem, totalmem } from 'node:os';
import { delimiter, join } from 'node:path';
import { formatSize } from '../../config/config.js';
import { DEFAULT_MEMORY, LARGEST_SOFT_MEMORY, MIB } from '../../config/limits.js';
import { examineKvm } from './kvm/choose.js';

export interface Finding {
  /** 'ok', 'no': something that is needed is missing, 'note': good to know, nothing depends on it. */
  readonly verdict: 'ok' | 'no' | 'note';
  readonly subject: string;
  /** What was found; where something is missing, what to do about it. */
  readonly text: string;
}

const WASM_HEADER = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
/** (func (result v128) (v128.const 0)): valid only where there is SIMD. */
const SIMD_PROBE = [
  ...WASM_HEADER,
  ...[1, 5, 1, 0x60, 0, 1, 0x7b],
  ...[3, 2, 1, 0],
  ...[10, 22, 1, 20, 0, 0xfd, 0x0c, ...new Array<number>(16).fill(0), 0x0b],
];
const OLDEST_NODE = [20, 19] as const;

export function nodeFinding(version = process.versions.node): Finding {
  const [major, minor] = version.split('.').map(Number);
  const fits = major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1]);
  return fits
    ? { verdict: 'ok', subject: 'Node', text: `version ${version}` }
    : {
        verdict: 'no',
        subject: 'Node',
        text: `version ${version} is too old; install ${OLDEST_NODE.join('.')} or newer`,
      };
}

export function wasmFinding(): Finding {
  const simd = WebAssembly.validate(new Uint8Array(SIMD_PROBE));
  return simd
    ? { verdict: 'ok', subject: 'WebAssembly', text: 'with SIMD' }
    : { verdict: 'no', subject: 'WebAssembly', text: 'has no SIMD here; run Node without --jitless' };
}

export function memoryFinding(): Finding {
  const text = `${formatSize(freemem())} free of ${formatSize(totalmem())}`;
  const most = `a guest on the software engine can have ${LARGEST_SOFT_MEMORY / MIB}M at most`;
  try {
    // Address space only: nothing of it becomes resident.
    new WebAssembly.Memory({ initial: 0, maximum: 65536 }).grow((DEFAULT_MEMORY + 256 * MIB) / 65536);
  } catch {
    return { verdict: 'no', subject: 'memory', text: `${text}, and Node may not reserve a guest's; raise ulimit -v` };
  }
  return { verdict: freemem() < DEFAULT_MEMORY ? 'note' : 'ok', subject: 'memory', text: `${text}; ${most}` };
}

/** Tries KVM, which takes a moment. */
export function kvmFinding(): Finding {
  const verdict = examineKvm(true);
  if (verdict.state !== 'tested') {
    return { verdict: 'note', subject: 'KVM', text: `${verdict.text}; guests run on the software engine` };
  }
  if (verdict.failures.length === 0)
    return { verdict: 'ok', subject: 'KVM', text: 'passes the self-test; --engine auto takes it' };
  return {
    verdict: 'note',
    subject: 'KVM',
    text: `fails the self-test, so --engine auto takes the software engine: ${verdict.failures.join('; ')}`,
  };
}

export function aptFinding(): Finding {
  const found = findProgram('apt-get');
  return found === undefined
    ? {
        verdict: 'note',
        subject: 'apt-get',
        text: 'absent: the debian guest can’t be fetched here; give --kernel and --initrd instead',
      }
    : { verdict: 'ok', subject: 'apt-get', text: `${found}: the debian guest can be fetched` };
}

export function cacheFindings(folder: string): Finding[] {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
  } catch {
    return [
      { verdict: 'no', subject: 'cache', text: `${folder} can't be written; set XDG_CACHE_HOME to a folder that can` },
    ];
  }
  const { bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  const room = free > 256 * MIB;
  // A guest counts when its manifest is there.
  const guests = readdirSync(folder).flatMap((name) => /^(.+)\.json$/.exec(name)?.[1] ?? []);
  return [
    {
      verdict: room ? 'ok' : 'no',
      subject: 'cache',
      text: `${folder}, ${formatSize(free)} free${room ? '' : '; a guest needs 256 MiB: make room'}`,
    },
    {
      verdict: 'note',
      subject: 'guests',
      text: guests.length === 0 ? 'none cached yet' : `cached: ${guests.join(', ')}`,
    },
  ];
}

export function terminalFinding(): Finding {
  const { stdin, stdout } = process;
  if (stdin.isTTY && stdout.isTTY) {
    return { verdict: 'ok', subject: 'terminal', text: `${stdout.columns} columns, ${stdout.rows} rows` };
  }
  return {
    verdict: 'note',
    subject: 'terminal',
    text: `standard ${stdin.isTTY ? 'output' : 'input'} is none: a guest’s console is not interactive here`,
  };
}

function isAccessible(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}

/** The first program of this name on the PATH. */
function findProgram(name: string): string | undefined {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((path) => isAccessible(path, constants.X_OK));
}
