/** The programs that look for gaps of a KVM find none in the software engine: so they look for the right thing. */
import { expect, test } from 'vitest';
import { machine } from './bench.js';
import { GAPS } from './lacks.js';

test.skipIf(machine('real').engine.name !== 'soft').each(GAPS)(
  'the software engine is not one that $name',
  ({ works }) => {
    expect(works(machine)).toBe(true);
  },
);
