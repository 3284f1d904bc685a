import { ConfigError } from './config-error.js';
import { MIB } from './limits.js';

const SUFFIXES: { readonly [suffix: string]: number } = { '': MIB, k: 1024, m: MIB, g: 1024 * MIB };

/**
 * A size as people write it: 512M, 1G, 262144K, 1.5G. A plain number means MiB, as in most virtual machine monitors.
 * Upper and lower case, with or without a final B or iB. Returns bytes. @throws ConfigError
 */
export function parseSize(text: string, what = 'A size'): number {
  const match = /^(\d+(?:\.\d+)?)([kmg]?)(?:i?b)?$/i.exec(text.trim());
  if (match === null) throw new ConfigError(`${what} is written like 512M or 1G, not "${text}".`);
  const bytes = Number(match[1]) * SUFFIXES[match[2].toLowerCase()];
  if (!Number.isSafeInteger(bytes)) throw new ConfigError(`${what} must be a whole number of bytes, not "${text}".`);
  return bytes;
}
