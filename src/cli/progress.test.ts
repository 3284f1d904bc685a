import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { Progress, type ProgressStream } from './progress.js';

function stream(isTTY: boolean, columns = 20): { stream: ProgressStream; text: () => string } {
  let text = '';
  const writable = new Writable({
    write(chunk, _encoding, done) {
      text += chunk;
      done();
    },
  });
  return { stream: Object.assign(writable, { isTTY, columns }), text: () => text };
}

test('on a terminal one line is rewritten, cut to the width, and taken away', () => {
  const to = stream(true);
  const progress = new Progress(to.stream, false);
  progress.say('Fetching', '10 %');
  progress.say('Fetching something with a long name');
  progress.clear();
  expect(to.text()).toBe('\r\x1b[KFetching 10 % …\r\x1b[KFetching something \r\x1b[K');
});

test('elsewhere each step is one plain line, however often its detail changes', () => {
  const to = stream(false);
  const progress = new Progress(to.stream, false);
  for (const detail of ['1 %', '2 %', '3 %']) progress.say('Fetching', detail);
  progress.say('Booting');
  progress.clear();
  expect(to.text()).toBe('Fetching …\nBooting …\n');
});

test('quiet says nothing of quick steps, but of slow ones and of long waits', () => {
  const to = stream(false);
  let now = 0;
  const progress = new Progress(to.stream, true, () => now);
  progress.say('Reading');
  progress.say('Fetching', '', true);
  now = 5000;
  progress.say('Booting');
  expect(to.text()).toBe('Fetching …\nBooting …\n');
});
