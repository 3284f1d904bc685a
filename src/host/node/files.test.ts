import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { FileError, readInput, writeWhole } from './files.js';

const folder = mkdtempSync(join(tmpdir(), 'typevisor-files-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('a file that does not exist is named and the path is doubted', () => {
  expect(() => readInput('/no/such/kernel', 'kernel')).toThrow(FileError);
  expect(() => readInput('/no/such/kernel', 'kernel')).toThrow(
    'The kernel "/no/such/kernel" does not exist; check the path.',
  );
});

test('a folder is not taken for a file', () => {
  expect(() => readInput(folder, 'kernel')).toThrow(`The kernel "${folder}" is a folder; give the file itself.`);
});

test('a file is written whole, its folder is made, and nothing else is left beside it', () => {
  const path = join(folder, 'deep/stats.json');
  writeWhole(path, 'one', 'statistics');
  writeWhole(path, 'two', 'statistics');
  expect(readFileSync(path, 'utf8')).toBe('two');
  expect(readdirSync(join(folder, 'deep'))).toEqual(['stats.json']);
});

test('a place that can’t be written to is named, and no draft is left', () => {
  writeWhole(join(folder, 'file'), '', 'statistics');
  expect(() => writeWhole(join(folder, 'file/stats.json'), 'x', 'statistics')).toThrow(FileError);
  expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
});
