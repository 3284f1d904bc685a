import { describe, expect, test } from 'vitest';
import { WriteOut } from './write-out.js';

/** What happens, a word each: `w` a small write, `W` a large one, `f` a flush. @returns the places of what is written out */
function writtenOut(events: string): number[] {
  const writeOut = new WriteOut();
  return [...events].flatMap((event, at) => {
    if (event === 'f') writeOut.flushed();
    else if (writeOut.wrote(event === 'w' ? 4096 : 2 ** 20)) return [at];
    return [];
  });
}

describe('writing out early', () => {
  test.each<[string, string, number[]]>([
    ['begins with the first write after a flush of few', 'wfwwf', [2, 3]],
    ['does not begin before the first flush', 'www', []],
    ['leaves large writes to the system', 'wfWw', [3]],
    ['ends where no flush comes', 'wfwwwwww', [2, 3, 4, 5]],
    ['is not begun again after a flush of many', 'wfwwwwwfw', [2, 3, 4, 5]],
    ['is not begun by flushes of nothing', 'ffw', []],
  ])('%s', (_, events, expected) => {
    expect(writtenOut(events)).toEqual(expected);
  });
});
