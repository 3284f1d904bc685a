/** `typevisor doctor`: what works on this machine, what does not, and what to do about it. */

import { loadSoftModules } from '../host/node/engine.js';
import {
  aptFinding,
  cacheFindings,
  type Finding,
  kvmFinding,
  memoryFinding,
  nodeFinding,
  terminalFinding,
  wasmFinding,
} from '../host/node/features.js';
import { defaultCacheDir } from '../host/node/guest-cache.js';
import { Status } from './status.js';

/** Prints a line for each finding. Returns status 0 where guests can run here. */
export async function doctor(): Promise<number> {
  const findings: Finding[] = [
    nodeFinding(),
    wasmFinding(),
    await engineFinding(),
    memoryFinding(),
    kvmFinding(),
    aptFinding(),
    ...cacheFindings(defaultCacheDir()),
    terminalFinding(),
  ];
  for (const { verdict, subject, text } of findings) {
    process.stdout.write(`${verdict.padEnd(4)}  ${subject.padEnd(11)}  ${text}\n`);
  }
  const missing = findings.filter(({ verdict }) => verdict === 'no');
  process.stdout.write(
    missing.length === 0
      ? 'Guests can run here.\n'
      : `Not everything works here; mend first: ${missing.map(({ subject }) => subject).join(', ')}.\n`,
  );
  return missing.length === 0 ? Status.ok : Status.error;
}

async function engineFinding(): Promise<Finding> {
  try {
    await loadSoftModules();
    return { verdict: 'ok', subject: 'engine', text: 'soft: an x86-64 processor in software' };
  } catch (error) {
    return { verdict: 'no', subject: 'engine', text: error instanceof Error ? error.message : String(error) };
  }
}
