import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ConfigError,
  DEFAULT_CONFIG,
  formatSize,
  machineConfig,
  parseSeconds,
  parseSize,
  parseWhole,
} from './config.js';
import { LARGEST_MEMORY, MIB } from './limits.js';
import { MachineConfigSchema } from './schema.js';

describe('sizes', () => {
  test.each([
    ['512', 512 * MIB],
    ['512M', 512 * MIB],
    ['512m', 512 * MIB],
    ['512MB', 512 * MIB],
    ['512MiB', 512 * MIB],
    ['1G', 1024 * MIB],
    ['1.5G', 1536 * MIB],
    ['2048K', 2 * MIB],
  ])('%s is %d bytes', (text, bytes) => expect(parseSize(text)).toBe(bytes));

  test.each(['', 'M', '-1', '1T', '1e3', '0x10', '12 M', 'lots', '1.0000000001K'])('"%s" is refused', (text) => {
    expect(() => parseSize(text, '--memory')).toThrow(/^--memory .*\.$/);
  });

  test('any text is either a size or a ConfigError, never anything else', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          expect(parseSize(text)).toBeGreaterThanOrEqual(0);
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError);
        }
      }),
    );
  });

  test('a size is shown in the largest fitting unit', () => {
    expect([512 * MIB, 1536 * MIB, 4096, 12].map(formatSize)).toEqual(['512 MiB', '1.5 GiB', '4 KiB', '12 bytes']);
  });
});

test('seconds may have fractions but must be positive numbers', () => {
  expect(parseSeconds('1.5', '--timeout')).toBe(1.5);
  for (const text of ['0', '-1', 'soon', '1e9', '']) expect(() => parseSeconds(text, '--timeout')).toThrow(ConfigError);
});

test('whole numbers are decimal digits only', () => {
  expect(parseWhole('12', '--cpus')).toBe(12);
  for (const text of ['1.5', '-1', 'two', '', '0x2']) expect(() => parseWhole(text, '--cpus')).toThrow(ConfigError);
});

describe('a machine configuration', () => {
  test('is complete when nothing was asked for', () => expect(machineConfig({})).toEqual(DEFAULT_CONFIG));

  test('keeps what was asked for and takes defaults for the rest', () => {
    expect(machineConfig({ memory: 256 * MIB, arch: 'i386', timeout: undefined })).toEqual({
      ...DEFAULT_CONFIG,
      memory: 256 * MIB,
      arch: 'i386',
    });
  });

  test.each([
    [{ memory: 8192 * MIB, engine: 'soft' }, /8 GiB of memory is more than .*; give at most 4032M, or --engine kvm\.$/],
    [{ memory: LARGEST_MEMORY + MIB }, /^memory must be a whole number of MiB from 2M to 523264M/],
    [{ engine: 'kvm', deterministic: true }, /give --engine soft\.$/],
    [{ pins: [{ vcpu: 1, cpu: 0 }] }, /^There is no vCPU 1 to pin/],
    [{ memory: MIB }, /^memory must be a whole number of MiB from 2M to 523264M, such as 512M, not 1 MiB\.$/],
    [{ memory: 64 * MIB + 1 }, /^memory must be a whole number of MiB/],
    [{ memory: Number.NaN }, /^memory must be/],
    [{ cpus: 0 }, /^cpus must be a whole number from 1 to 16, not 0\.$/],
    [{ cpus: 1.5 }, /^cpus must be a whole number/],
    [{ engine: 'steam' }, /^engine must be one of auto, kvm, soft, not "steam"\.$/],
    [{ arch: 'arm64' }, /^arch must be one of amd64, i386, not "arm64"\.$/],
    [{ timeout: 0 }, /^timeout must be a number of seconds greater than 0, not 0\.$/],
    [{ strictIo: 'yes' }, /^strictIo must be of type boolean, not "yes"\.$/],
    [{ memroy: 1 }, /^"memroy" is no setting of a machine; remove it\.$/],
  ])('%o is refused with one sentence', (asked, message) => {
    expect(() => machineConfig(asked)).toThrow(ConfigError);
    expect(() => machineConfig(asked)).toThrow(message);
  });
});

test('the generated validator belongs to the schema as it is now (npm run generate)', async () => {
  const script = '../../scripts/generate-validator.mjs';
  const { generate } = (await import(script)) as { generate: (schema: unknown) => Promise<string> };
  const text = await generate(JSON.parse(JSON.stringify(MachineConfigSchema)));
  expect(readFileSync(new URL('./validate.generated.ts', import.meta.url), 'utf8')).toBe(text);
}, 20_000);
