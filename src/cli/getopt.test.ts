import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { getopt, type LongOption } from './getopt.js';

const KNOWN: readonly LongOption[] = [
  { name: 'verbose', argument: false, letter: 'v' },
  { name: 'block', argument: true },
  { name: 'rng', argument: false },
  { name: 'raise', argument: false },
  { name: 'output', argument: true, letter: 'o' },
];
const take = (...argv: string[]) => getopt(argv, KNOWN);

describe('getopt', () => {
  test('options stand anywhere among the operands, which keep their order', () => {
    expect(take('64', '--block=a', 'vmlinux', '--rng', 'x=y')).toEqual({
      options: [{ name: 'block', value: 'a' }, { name: 'rng' }],
      operands: ['64', 'vmlinux', 'x=y'],
    });
  });

  test('POSIX: the first operand ends the options', () => {
    expect(getopt(['-v', '64', '--rng'], KNOWN, true)).toEqual({
      options: [{ name: 'verbose' }],
      operands: ['64', '--rng'],
    });
  });

  test('a value is behind = or the next word, whatever that looks like', () => {
    expect(take('--block', '--rng', '--block=', '--block=a=b').options).toEqual([
      { name: 'block', value: '--rng' },
      { name: 'block', value: '' },
      { name: 'block', value: 'a=b' },
    ]);
  });

  test('names may be cut short where that is clear, and an exact name wins', () => {
    expect(take('--verb', '--bl', 'f').options).toEqual([{ name: 'verbose' }, { name: 'block', value: 'f' }]);
    const known = [
      { name: 'net', argument: false },
      { name: 'network', argument: false },
    ];
    expect(getopt(['--net', '--netw'], known).options).toEqual([{ name: 'net' }, { name: 'network' }]);
  });

  test('letters cluster, and one with an argument takes the rest or the next word', () => {
    expect(take('-vvofile', '-o', 'x', '-').options).toEqual([
      { name: 'verbose' },
      { name: 'verbose' },
      { name: 'output', value: 'file' },
      { name: 'output', value: 'x' },
    ]);
    expect(take('-').operands).toEqual(['-']);
  });

  test('everything after -- is an operand', () => {
    expect(take('--', '--rng', '-v', '--').operands).toEqual(['--rng', '-v', '--']);
  });

  test.each([
    [['--nonsense'], "unrecognized option '--nonsense'"],
    [['--verbose=1'], "option '--verbose' doesn't allow an argument"],
    [['--block'], "option '--block' requires an argument"],
    [['--r'], "option '--r' is ambiguous; possibilities: '--rng' '--raise'"],
    [['-x'], "invalid option -- 'x'"],
    [['-o'], "option requires an argument -- 'o'"],
  ])('%j is refused as the C library does', (argv, message) => {
    expect(() => getopt(argv, KNOWN)).toThrow(message);
  });

  test('whatever is typed: an answer or a GetoptError, and no word is lost', () => {
    const word = fc.oneof(
      fc.string(),
      fc.constantFrom('--', '-v', '--block', '--block=x', '-ofoo', '--rng', 'vmlinux'),
    );
    fc.assert(
      fc.property(fc.array(word), (argv) => {
        try {
          const { options, operands } = getopt(argv, KNOWN);
          const words = options.reduce((sum, { value }) => sum + (value === undefined ? 1 : 2), operands.length);
          expect(words).toBeGreaterThanOrEqual(argv.filter((text) => text !== '--').length - operands.length);
          for (const operand of operands) expect(argv).toContain(operand);
        } catch (error) {
          expect((error as Error).name).toBe('GetoptError');
        }
      }),
    );
  });
});
